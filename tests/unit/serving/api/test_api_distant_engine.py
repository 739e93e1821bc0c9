"""An engine on another machine: the API copies the catalogue of each policy that it names, and not the weights."""

import asyncio
import shutil

import pytest

from gream.artifacts import content_digest
from gream.errors import ArtifactError
from serving.api.catalogue import PolicyCatalogue
from serving.api.distant_engine import DistantEngine
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


def copied(engine):
    """The folder of the policy that the engine names."""

    async def follow():
        return await engine.bundle(await engine.policy())

    return asyncio.run(follow())


def copies(tmp_path):
    return {copy.name for copy in (tmp_path / "copies").iterdir()}


def test_the_copy_is_a_catalogue_and_is_made_once(bundle, tmp_path):
    service = Service(bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    folder = copied(engine)
    assert PolicyCatalogue.load(folder, version(bundle)).title("m0") == "Alien (1979)"
    assert folder.parent == tmp_path / "copies"
    assert copied(engine) == folder
    assert service.copies == 1


def test_a_copy_that_power_has_damaged_is_made_again(bundle, tmp_path):
    service = Service(bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    (copied(engine) / "items.parquet").write_bytes(b"")
    assert PolicyCatalogue.load(copied(engine), version(bundle)).title("m0") == "Alien (1979)"
    assert service.copies == 2


def test_naming_the_policy_copies_nothing(bundle, tmp_path):
    service = Service(bundle)
    assert asyncio.run(DistantEngine(service, tmp_path / "copies").policy()).policy_version == version(bundle)
    assert service.copies == 0


def test_nothing_else_of_the_bundle_travels(bundle, tmp_path):
    with_weights = shutil.copytree(bundle, tmp_path / "bundle")
    (with_weights / "model.safetensors").write_bytes(bytes(1_000))
    folder = copied(DistantEngine(Service(with_weights), tmp_path / "copies"))
    assert not (folder / "model.safetensors").exists()


def test_two_copies_stay_and_what_is_older_goes(bundle, smaller_bundle, grown_bundle, tmp_path):
    service = Service(bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    copied(engine)
    (tmp_path / "copies" / ".partial-of a process that died").mkdir()
    service.bundle = smaller_bundle
    copied(engine)
    assert copies(tmp_path) == {version(bundle), version(smaller_bundle)}
    service.bundle = grown_bundle
    copied(engine)
    assert copies(tmp_path) == {version(smaller_bundle), version(grown_bundle)}


def test_replicas_with_different_policies_cost_a_copy_each_and_no_more(bundle, smaller_bundle, tmp_path):
    service = Service(bundle, handed_out=smaller_bundle)
    engine = DistantEngine(service, tmp_path / "copies")
    message = f"that has policy {version(smaller_bundle)} answered, not one with {version(bundle)}"
    with pytest.raises(ArtifactError, match=message):
        copied(engine)
    service.handed_out = None
    for service.bundle in (bundle, smaller_bundle, bundle, smaller_bundle):
        assert copied(engine).name == version(service.bundle)
    assert service.copies == 2
    assert copies(tmp_path) == {version(bundle), version(smaller_bundle)}
