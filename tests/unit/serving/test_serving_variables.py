"""Which variables of the environment are whose."""

import re
from pathlib import Path

import pytest

from serving.settings import SETTINGS, load_settings
from serving.variables import ELSEWHERE, PREFIX, refuse_misspelled, unread

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = ("gream", "serving", "pipelines", "components", "k8s", "feature_repo")
NAME = re.compile(r"\bGREAM(?:_[A-Z0-9]+)+\b")


def test_every_variable_of_the_product_is_known_and_no_other():
    files = [
        file
        for folder in SOURCES
        for file in (REPOSITORY / folder).rglob("*")
        if file.suffix in (".py", ".yaml", ".sh")
    ]
    texts = [file.read_text() for file in files if file != REPOSITORY / "serving" / "variables.py"]
    found = {name for text in texts for name in NAME.findall(text)}
    assert found - {f"{PREFIX}{name}" for name in SETTINGS} == ELSEWHERE


def test_variables_that_kubernetes_makes_of_services_are_passed_over():
    names = [
        f"GREAM{service}_{end}"
        for service in ("", "_API", "_ENGINE", "_REDIS", "_CANARY", "_ONLINE_STORE", "_EVIDENCE", "_EVIDENCE_STORE")
        for end in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT_3000_TCP_ADDR")
    ]
    refuse_misspelled(names, SETTINGS)
    assert unread([*names, "HOME", "GREAM_MAX_K", "gream_state"], SETTINGS) == sorted(names)


def test_a_variable_that_is_set_to_nothing_is_not_set(monkeypatch):
    for name in ("ENGINE_URL", "SAMPLE_USERS", "MAX_K", "API_KEYS"):
        monkeypatch.setenv(f"{PREFIX}{name}", "")
    settings = load_settings()
    assert (settings.engine_url, settings.sample_users, settings.max_k) == (None, None, 100)
    assert settings.api_keys.get_secret_value() == ""
