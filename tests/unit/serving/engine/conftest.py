import pytest
from keeper_shop import Shop
from lane_machine import Machine
from tiny_policy import write_tiny_policy

from gream.artifacts import content_digest
from gream.policy.policy import Policy
from serving.engine.transformers_engine import TransformersEngine


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("engine") / "policy"
    write_tiny_policy(path, with_prior=True, added_items=3)
    return path


@pytest.fixture(scope="session")
def policy(bundle):
    return Policy.load(bundle)


@pytest.fixture(scope="session")
def engine(bundle):
    return TransformersEngine.load(bundle, content_digest(bundle)[:12])


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


@pytest.fixture
def machine():
    machine = Machine()
    yield machine
    machine.let(100)
