"""The API that serves: is a policy loaded, and does the feature store answer it?"""

import json
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from pipelines.doctor.examination import Check, NotAskedError, SickError

TIMEOUT_S = 8.0


def checks(url: str) -> list[Check]:
    """The checks of the API at a URL."""

    def readiness() -> dict[str, Any]:
        if not url:
            raise NotAskedError("no API is named: give --api http://HOST:PORT.")
        if not url.startswith(("http://", "https://")):
            raise SickError(f"{url} is no URL.", "give --api http://HOST:PORT")
        try:
            response = urllib3.request("GET", f"{url.rstrip('/')}/readyz", timeout=TIMEOUT_S, retries=False)
        except HTTPError as error:
            raise SickError(
                f"{url} does not answer ({type(error).__name__}).",
                "start it (gream serve), or look at it: kubectl -n gream get pods,services",
            ) from error
        if response.status != 200:
            raise SickError(
                f"{url}/readyz says {response.status}: the engine has no policy yet.",
                "publish one (gream store publish) and read the engine's log: kubectl -n gream logs deployment/engine",
            )
        told: dict[str, Any] = json.loads(response.data)
        return told

    def policy() -> str:
        return f"{url} serves policy {readiness()['policy_version']}."

    def features() -> str:
        if readiness()["features"] != "up":
            raise SickError(
                "the feature store is down: every user gets what a stranger gets.",
                "look at Redis: kubectl -n gream get pods, and fill it: kubectl -n gream create job "
                "--from=cronjob/features features-first",
            )
        return "the feature store answers the API."

    remedy = "is this the URL of GREAM's API?"
    return [Check("policy", policy, remedy), Check("features", features, remedy)]
