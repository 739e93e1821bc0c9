"""An engine on another machine: the API copies the catalogue of each policy that it names, and not the weights."""

import asyncio
import shutil
from pathlib import Path

import pytest

from gream.artifacts import content_digest
from serving.api.catalogue import PolicyCatalogue
from serving.api.distant_engine import DistantEngine
from serving.api.engine import EngineNotReadyError
from serving.catalogue_copy import pack
from serving.contracts import ServedPolicy

pytestmark = pytest.mark.unit


class Service:
    """What `depends(url=...)` resolves to; it may hand out another bundle's catalogue than the policy that it names."""

    def __init__(self, bundle, handed_out=None):
        self.bundle = bundle
        self.handed_out = handed_out
        self.copies = 0

    async def policy(self):
        return ServedPolicy(policy_version=version(self.bundle), bundle="/not/on/this/machine", engine="e")

    async def catalogue(self):
        self.copies += 1
        return pack(self.handed_out or self.bundle)


def version(bundle):
    return content_digest(bundle)[:12]


def named(engine):
    return asyncio.run(engine.policy())


def test_the_copy_is_a_catalogue_and_is_made_once(bundle, tmp_path):
    service = Service(bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    folder = Path(named(engine).bundle)
    assert PolicyCatalogue.load(folder, version(bundle)).title("m0") == "Alien (1979)"
    assert folder.parent == tmp_path / "copies"
    assert named(engine).bundle == str(folder)
    assert service.copies == 1


def test_nothing_else_of_the_bundle_travels(bundle, tmp_path):
    with_weights = shutil.copytree(bundle, tmp_path / "bundle")
    (with_weights / "model.safetensors").write_bytes(bytes(1_000))
    folder = Path(named(DistantEngine(Service(with_weights), tmp_path / "copies")).bundle)
    assert not (folder / "model.safetensors").exists()


def test_the_copy_of_the_policy_before_goes(bundle, smaller_bundle, tmp_path):
    service = Service(bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    named(engine)
    service.bundle = smaller_bundle
    named(engine)
    assert [copy.name for copy in (tmp_path / "copies").iterdir()] == [version(smaller_bundle)]


def test_the_catalogue_of_another_replicas_policy_is_not_kept(bundle, smaller_bundle, tmp_path):
    service = Service(bundle, handed_out=smaller_bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    with pytest.raises(EngineNotReadyError, match=version(smaller_bundle)):
        named(engine)
    assert list((tmp_path / "copies").iterdir()) == []
    service.handed_out = None
    assert Path(named(engine).bundle).name == version(bundle)
