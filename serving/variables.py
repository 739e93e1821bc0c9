"""Variables of the environment that are called GREAM_... and that nothing reads: misspelled ones, most likely.

A key that is not found where it is looked for is no key, so a server does not start beside a name that is nearly one of
its settings. Other names are said and passed over: Kubernetes adds some by itself (`GREAM_PORT` for a Service `gream`).
"""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Final

from gream.errors import ConfigError

PREFIX: Final = "GREAM_"
ELSEWHERE: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        "ALERTMANAGER",
        "API",
        "CACHE",
        "CALIBRATIONS",
        "CANARY",
        "CATALOG",
        "CHAMPION",
        "DATA_IMAGE",
        "DECISIONS",
        "EVIDENTLY",
        "FEATURES",
        "FEATURES_ONLINE",
        "LLM_API_KEY",
        "LLM_BASE_URL",
        "MONITORING",
        "OVERRIDES",
        "PROFILE",
        "RUNS_ON",
        "S3_ENDPOINT",
        "S3_RETRIES",
        "S3_SECRET",
        "TRAIN_IMAGE",
        "WORKSPACE",
        "WORKSPACE_REMOTE",
    )
)
"""What other parts of GREAM read; on a cluster all of them have the same variables."""
_OF_SERVICES: Final = re.compile(r"_(PORT|SERVICE_HOST|SERVICE_PORT)(_|$)")
"""What Kubernetes adds for a Service, whatever it is called."""
_NEAR: Final = 0.8
"""`difflib`'s ratio, without the prefix: MAXK and MAX_K have 0.89, ENGINE_PORT and ENGINE_URL 0.76."""


def unread(variables: Iterable[str], settings: Iterable[str]) -> list[str]:
    """Which names nothing reads.

    Args:
        variables: names in the environment.
        settings: names that the online path reads, without the prefix, in capitals.
    """
    known = ELSEWHERE.union(f"{PREFIX}{name}" for name in settings)
    return sorted(name for name in variables if name.upper().startswith(PREFIX) and name.upper() not in known)


def refuse_misspelled(variables: Iterable[str], settings: Collection[str]) -> None:
    """Let no name pass that is nearly a setting; arguments as those of `unread`.

    Raises:
        ConfigError: one is.
    """
    for name in unread(variables, settings):
        if _OF_SERVICES.search(name.upper()):
            continue
        if near := difflib.get_close_matches(name.upper().removeprefix(PREFIX), settings, n=1, cutoff=_NEAR):
            raise ConfigError(f"{name} is no setting. Did you mean {PREFIX}{near[0]}?")
