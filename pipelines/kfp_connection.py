"""Which KFP server there is, and who we are to it. The environment says both:

    KFP_ENDPOINT     URL of the API server or of the UI before it, e.g. http://127.0.0.1:8888 (`kubectl port-forward`)
    KFP_TOKEN        bearer token, where the server asks for one; never shown
    KFP_TOKEN_FILE   or a file that holds it, as Kubernetes projects the token of a service account
    KFP_NAMESPACE    of the user's profile, where KFP has several users
    KFP_CA_BUNDLE    PEM file of the authority that signed the server's certificate, where it is a private one

A file of the token is read for each connection, since Kubernetes replaces it while a program runs.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gream.errors import ConfigError

ENDPOINT: Final = "KFP_ENDPOINT"
TOKEN: Final = "KFP_TOKEN"
TOKEN_FILE: Final = "KFP_TOKEN_FILE"
NAMESPACE: Final = "KFP_NAMESPACE"
CA_BUNDLE: Final = "KFP_CA_BUNDLE"


@dataclass(frozen=True)
class Connection:
    """One KFP server. The token is left out of `repr`, so that no log shows it.

    Attributes:
        endpoint: URL, without a slash at its end.
        token: empty where the server asks for none.
        namespace: empty where KFP has one user.
        ca_bundle: empty for the public authorities.
    """

    endpoint: str
    token: str = field(default="", repr=False)
    namespace: str = ""
    ca_bundle: str = ""

    @classmethod
    def from_environment(cls, endpoint: str = "", environment: Mapping[str, str] = os.environ) -> "Connection":
        """The connection that the environment names; `endpoint` goes before its own.

        Raises:
            ConfigError: no endpoint is named, or one that is no URL, or the file of the token cannot be read.
        """
        endpoint = (endpoint or environment.get(ENDPOINT, "")).strip().rstrip("/")
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                f"no KFP server is named: give --endpoint or {ENDPOINT}, the http:// or https:// URL of its API."
            )
        token, file, namespace, ca_bundle = (
            environment.get(name, "").strip() for name in (TOKEN, TOKEN_FILE, NAMESPACE, CA_BUNDLE)
        )
        if file and not token:
            try:
                token = Path(file).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{TOKEN_FILE} = {file!r} cannot be read: {error.strerror}.") from error
        return cls(endpoint, token, namespace, ca_bundle)
