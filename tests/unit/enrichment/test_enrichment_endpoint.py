import pytest

from gream.enrichment.endpoint import Endpoint
from gream.errors import ConfigError

pytestmark = pytest.mark.unit

URL, KEY = "GREAM_LLM_BASE_URL", "GREAM_LLM_API_KEY"


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, URL),
        ({URL: " ", KEY: "k"}, URL),
        ({URL: "localhost:8000/v1", KEY: "k"}, URL),
        ({URL: "file:///etc/passwd", KEY: "k"}, URL),
        ({URL: "http://localhost:8000/v1"}, KEY),
    ],
)
def test_what_is_missing_is_named(environment, named):
    with pytest.raises(ConfigError, match=named):
        Endpoint.from_environment(environment)


def test_the_key_is_not_shown():
    endpoint = Endpoint.from_environment({URL: "https://models.example/v1", KEY: " sk-secret "})
    assert endpoint.api_key == "sk-secret"
    assert "sk-secret" not in repr(endpoint)
