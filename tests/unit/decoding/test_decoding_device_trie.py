"""A trie goes to a device once, and its copy goes with it."""

import gc
import weakref

import pytest
import torch

from gream.decoding.device_trie import DeviceTrie
from gream.decoding.trie import TokenTrie

pytestmark = pytest.mark.unit

ITEMS = [[1, 2], [1, 3], [4, 2]]
OTHER = torch.device("meta")
"""Stands for a GPU: what is there is no copy that the CPU shares."""


def test_a_device_has_one_copy_of_each_trie():
    trie = TokenTrie.build(ITEMS)
    assert DeviceTrie.of(trie, OTHER) is DeviceTrie.of(trie, OTHER)
    assert DeviceTrie.of(trie, OTHER).token.device == OTHER
    assert DeviceTrie.of(trie, torch.device("cpu")).token.tolist() == trie.token.tolist()
    assert DeviceTrie.of(TokenTrie.build(ITEMS), OTHER) is not DeviceTrie.of(trie, OTHER)


def test_a_copy_is_not_held_longer_than_its_trie():
    trie = TokenTrie.build(ITEMS)
    copy = weakref.ref(DeviceTrie.of(trie, OTHER))
    assert copy() is not None
    del trie
    gc.collect()
    assert copy() is None
