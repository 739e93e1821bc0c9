import logging
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
from api_fakes import FakeEngine, FakeFeatures
from fastapi.testclient import TestClient

from gream.data.catalog import ITEM_SCHEMA
from gream.indexing import SemanticIndex
from gream.policy.bundle import PolicyFacts, save_policy
from gream.profile_files import load_profile
from serving.api.app import create_app
from serving.settings import ServingSettings

# (title, categories, codes): m4 and m5 share all their codes, so they carry ordinals.
FILMS = [
    ("Alien (1979)", ["Sci-Fi", "Horror"], (0, 0, 0)),
    ("Aliens (1986)", ["Sci-Fi", "Action"], (0, 0, 1)),
    ("Amélie (2001)", ["Romance"], (1, 0, 0)),
    ("Blade Runner (1982)", ["Sci-Fi"], (0, 1, 0)),
    ("Titanic (1953)", ["Drama"], (1, 1, 0)),
    ("Titanic (1997)", ["Drama", "Romance"], (1, 1, 0)),
]


class NoWeights:
    """A model or tokenizer that a bundle can do without: the API reads neither."""

    def save_pretrained(self, folder):
        pass


def make_bundle(path, films, seed=0, added=0, first="m0"):
    ids = [first, *(f"m{number}" for number in range(1, len(films)))]
    items = pl.DataFrame(
        {
            "item_id": ids,
            "title": [title for title, _, _ in films],
            "description": [f"About {title}." for title, _, _ in films],
            "brand": [""] * len(films),
            "categories": [categories for _, categories, _ in films],
        },
        schema=ITEM_SCHEMA,
    )
    index = SemanticIndex.from_codes(ids, np.array([codes for _, _, codes in films]), level_sizes=(2, 2, 2))
    facts = PolicyFacts.of(load_profile("laptop", []), "films", "srpo", seed=seed).model_copy(
        update={"added_items": added}
    )
    save_policy(path, NoWeights(), NoWeights(), index, items, facts)
    return path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "first", FILMS)


@pytest.fixture(scope="session")
def smaller_bundle(tmp_path_factory):
    """Another policy, which lacks the last film."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "second", FILMS[:-1], seed=1)


@pytest.fixture(scope="session")
def grown_bundle(tmp_path_factory):
    """The first policy, to which the last two films were added after its training."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "grown", FILMS, added=2)


@pytest.fixture(scope="session")
def wordy_bundle(tmp_path_factory):
    """The first policy, whose first item has an id that is too long for a request to name."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "wordy", FILMS, first="m" * 284)


@pytest.fixture
def engine(bundle):
    return FakeEngine(bundle)


@pytest.fixture
def features():
    return FakeFeatures({"ann": ["m0", "m2"], "bob": ["m5", "gone", "m4", "gone"], "empty": []})


@pytest.fixture
def serve(engine, features, tmp_path):
    """Starts the app with settings and yields a client. Once it is ready, it looks at the engine only when told to."""

    @contextmanager
    def start(wait_until_ready=True, **settings):
        defaults = {"state": tmp_path / "state", "policy_poll_seconds": 60.0, "feature_timeout_seconds": 0.2}
        app = create_app(ServingSettings(**(defaults | settings)), engine, features)
        with TestClient(app, raise_server_exceptions=False) as client:
            while wait_until_ready and not app.state.parts.watch.ready:
                client.portal.call(app.state.parts.watch.look)
            yield client

    return start


@pytest.fixture
def client(serve):
    with serve() as client:
        yield client


@pytest.fixture
def recommend(client):
    """Posts a body to /recommend and returns the answer's body."""

    def post(**body):
        response = client.post("/recommend", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    return post


@pytest.fixture
def logged(caplog):
    """What was logged as access lines and errors."""
    caplog.set_level(logging.INFO, logger="gream")
    return caplog
