"""A key-value cache that grows in place.

The library's dynamic cache copies everything it holds for each token that is added; for a small model that is the
larger part of decoding. Here a layer reserves room ahead and hands out views of it.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Positions that are reserved whenever the reserve is used up."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """One layer's keys and values, (B, heads, positions, head size), as views of larger buffers."""

    keys: Tensor
    values: Tensor
    _buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append positions; returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        needed = held + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < needed:
            self._buffers = (self._reserve(self.keys, key_states, held), self._reserve(self.values, value_states, held))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., held:needed, :] = states
        self.keys, self.values = (buffer[..., :needed, :] for buffer in self._buffers)
        return self.keys, self.values

    def expand_rows(self, rows: int) -> None:
        """Give what the only row holds to `rows` rows; it is copied when positions are added."""
        self.keys, self.values = (states.expand(rows, -1, -1, -1) for states in (self.keys, self.values))
        self._buffers = None

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row `repeats` times."""
        super().batch_repeat_interleave(repeats)
        self._buffers = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows `indices`."""
        super().batch_select_indices(indices)
        self._buffers = None

    @staticmethod
    def _reserve(old: Tensor, new: Tensor, held: int) -> Tensor:
        rows, heads, added, size = new.shape
        buffer = torch.empty((rows, heads, held + added + ROOM, size), dtype=new.dtype, device=new.device)
        if held:
            buffer[..., :held, :] = old
        return buffer


class GrowingCache(Cache):  # type: ignore[misc]
    """A cache for any number of layers, empty at first."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)

    def expand_rows(self, rows: int) -> None:
        """Give what the only row holds to `rows` rows."""
        for layer in self.layers:
            layer.expand_rows(rows)
