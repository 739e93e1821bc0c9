"""The catalogue that the engine hands out is made once, and for everybody."""

import asyncio
import shutil

import pytest

from gream.artifacts import content_digest
from serving.api.catalogue import PolicyCatalogue
from serving.catalogue_copy import pack, unpack
from serving.engine.packed_catalogue import PackedCatalogue

pytestmark = pytest.mark.unit


def test_it_is_the_policys_catalogue(bundle, tmp_path):
    copy = unpack(asyncio.run(PackedCatalogue().of(bundle)), tmp_path)
    assert PolicyCatalogue.load(copy, content_digest(bundle)[:12]).title("item-7") == "Thing No. 7"


def test_whoever_asks_meanwhile_or_later_gets_the_same_one(bundle):
    async def ask():
        packed = PackedCatalogue()
        together = await asyncio.gather(*(packed.of(bundle) for _ in range(3)))
        return [*together, await packed.of(bundle)]

    first, *others = asyncio.run(ask())
    assert [other is first for other in others] == [True] * 3


def test_another_policy_takes_its_place(bundle, tmp_path):
    other = shutil.copytree(bundle, tmp_path / "other")
    (other / "README.md").write_text("# Another policy")

    async def ask():
        packed = PackedCatalogue()
        return [await packed.of(folder) for folder in (bundle, other, bundle)]

    first, second, third = asyncio.run(ask())
    assert first == third != second
    assert first is not third  # One is kept, not each.


def test_one_who_goes_away_leaves_the_others_theirs(bundle):
    async def ask():
        packed = PackedCatalogue()
        leaving, staying = (asyncio.create_task(packed.of(bundle)) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert asyncio.run(ask())


def test_a_bundle_that_could_not_be_read_is_tried_again(bundle, tmp_path):
    copy = shutil.copytree(bundle, tmp_path / "copy")
    card = copy / "README.md"
    card.unlink()
    card.mkdir()
    (card / "dangling").symlink_to(tmp_path / "nothing")

    async def ask():
        packed = PackedCatalogue()
        with pytest.raises(FileNotFoundError):
            await packed.of(copy)
        shutil.rmtree(card)
        shutil.copy2(bundle / card.name, card)
        return await packed.of(copy)

    assert asyncio.run(ask()) == pack(bundle)
