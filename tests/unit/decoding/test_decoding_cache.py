import pytest
import torch
from transformers import DynamicCache

from gream.decoding.cache import ROOM, GrowingCache

pytestmark = pytest.mark.unit


def fill(cache, batches):
    for batch in batches:
        for layer in range(2):
            cache.update(batch + layer, -batch - layer, layer)


def content(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]


def states(rows, positions, seed):
    return torch.randn(rows, 2, positions, 4, generator=torch.Generator().manual_seed(seed))


def test_it_holds_what_the_library_cache_holds():
    growing, plain = GrowingCache(), DynamicCache()
    for cache in (growing, plain):
        fill(cache, [states(3, 5, 0), *(states(3, 1, seed) for seed in range(ROOM + 3))])
        cache.batch_repeat_interleave(2)
        fill(cache, [states(6, 4, 98)])
        cache.crop(-3)
        fill(cache, [states(6, 1, 99)])
        cache.batch_select_indices(torch.tensor([4, 1]))
        fill(cache, [states(2, 1, 100)])
    assert growing.get_seq_length() == plain.get_seq_length() == 5 + ROOM + 3 + 4 - 3 + 1 + 1
    for ours, theirs in zip(content(growing), content(plain), strict=True):
        assert torch.equal(ours, theirs)


def test_it_grows_in_place():
    cache = GrowingCache()
    fill(cache, [states(1, 2, 0)])
    before = cache.layers[0].keys.data_ptr()
    fill(cache, [states(1, 1, seed) for seed in range(ROOM)])
    assert cache.layers[0].keys.data_ptr() == before


def test_one_row_becomes_many_that_grow_apart():
    cache, one, more = GrowingCache(), states(1, 5, 0), states(3, 2, 1)
    fill(cache, [one])
    cache.expand_rows(3)
    fill(cache, [more])
    assert torch.equal(cache.layers[0].keys, torch.cat([one.expand(3, -1, -1, -1), more], dim=2))
    assert torch.equal(cache.layers[1].values, torch.cat([(-one - 1).expand(3, -1, -1, -1), -more - 1], dim=2))
