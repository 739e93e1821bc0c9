"""What BentoML is told of the engine's API."""

import pytest
from pydantic import TypeAdapter

from serving.engine.service import PolicyEngineService

pytestmark = pytest.mark.unit


def test_a_response_needs_no_schema_of_the_answers(monkeypatch):
    """BentoML would make one for each response, to find out that it is JSON."""

    def made(*_, **__):
        raise AssertionError("A JSON schema was made.")

    monkeypatch.setattr(TypeAdapter, "json_schema", made)
    assert PolicyEngineService.apis["recommend"].output_spec.mime_type() == "application/json"
