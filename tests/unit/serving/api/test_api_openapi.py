"""The OpenAPI document says what the server does."""

import pytest

from serving.api.errors import STATUS

pytestmark = pytest.mark.unit

ROUTES = {
    "/recommend": "post",
    "/recommend/batch": "post",
    "/feedback": "post",
    "/items": "get",
    "/items/{item_id}": "get",
    "/users": "get",
    "/users/{user_id}/history": "get",
    "/policy": "get",
    "/livez": "get",
    "/readyz": "get",
    "/metrics": "get",
}


@pytest.fixture
def document(serve):
    with serve(max_k=12, max_history=7, max_batch_requests=3) as client:
        return client.get("/openapi.json").json()


def test_every_route_is_there_with_its_errors_as_error_bodies(document):
    assert {path: next(iter(methods)) for path, methods in document["paths"].items()} == ROUTES
    for path, method in ROUTES.items():
        responses = document["paths"][path][method]["responses"]
        for status, response in responses.items():
            assert int(status) == 200 or int(status) in STATUS.values()
            if status != "200":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)


def test_the_limits_of_this_server_are_in_it(document):
    schemas = document["components"]["schemas"]
    request = schemas["RecommendRequest"]["properties"]
    assert request["k"]["maximum"] == 12
    assert request["history"]["anyOf"][0]["maxItems"] == 7
    assert (request["exclude"]["maxItems"], request["categories"]["maxItems"]) == (7, 7)
    assert schemas["BatchRequest"]["properties"]["requests"]["maxItems"] == 3


def test_keys_are_declared_where_they_are_asked_for(document, serve, tmp_path):
    assert "security" not in document["paths"]["/recommend"]["post"]
    assert "securitySchemes" not in document["components"]
    with serve(api_keys="shop:secret", state=tmp_path / "other") as client:
        with_keys = client.get("/openapi.json").json()
    assert with_keys["paths"]["/recommend"]["post"]["security"] == [{"HTTPBearer": []}]
    assert "security" not in with_keys["paths"]["/livez"]["get"]


def test_the_reference_has_all_its_files_here(client):
    page = client.get("/docs")
    parts = [part for part in page.text.split('"') if part.startswith("/")]
    assert len(parts) == 3
    for part in parts:
        assert client.get(part).status_code == 200, part
    assert "/openapi.json" in client.get(parts[-1]).text
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
