"""Where the language model answers: two environment variables, since a key has no place in a versioned file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gream.errors import ConfigError

URL_VARIABLE: Final = "GREAM_LLM_BASE_URL"
KEY_VARIABLE: Final = "GREAM_LLM_API_KEY"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint. The key is left out of `repr`, so that no log shows it."""

    base_url: str
    api_key: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Endpoint":
        """The endpoint that `GREAM_LLM_BASE_URL` and `GREAM_LLM_API_KEY` name.

        Raises:
            ConfigError: one of them is missing, or the first is not an http(s) URL.
        """
        base_url = environment.get(URL_VARIABLE, "").strip()
        api_key = environment.get(KEY_VARIABLE, "").strip()
        if not base_url:
            raise ConfigError(
                f"backend 'openai' needs the environment variable {URL_VARIABLE}: "
                "the URL of an OpenAI-compatible endpoint, e.g. http://localhost:8000/v1."
            )
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{URL_VARIABLE} is not an http:// or https:// URL with a host.")
        if not api_key:
            raise ConfigError(
                f"backend 'openai' needs the environment variable {KEY_VARIABLE} "
                "(any text for an endpoint that asks for no key)."
            )
        return cls(base_url, api_key)
