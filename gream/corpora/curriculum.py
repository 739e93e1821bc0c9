"""The order in which SFT sees its examples (paper, section 3.2): reasoning is mixed in ever more often.

Both sets are cut into batches, which hold examples of one set and of similar length. The alignment batches are split
in three parts and the reasoning examples in three shares, one for each part.

- Parts 1 and 2 are curriculum parts. Within each, after alignment batch i of n (i counts from 0) a reasoning batch is
  inserted with probability (i/n) * (#reasoning/#alignment) * factor, at most 1, the numbers being this part's batches.
  Summed over a part that is about factor/2 of its share; what has not been inserted follows at the part's end.
- Part 3 is mixed uniformly with its share.

Every example is used exactly once, so that the three orders differ in nothing but order. The authors' code gives *all*
reasoning examples to each part, three passes over them in one epoch: shares are consecutive thirds of the list, so a
list that holds the examples three times over (`corpus.reasoning_passes = 3`) does just that.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np

from gream.corpora.example import Example

Order = Literal["curriculum", "uniform", "sequential"]
PARTS = 3
CHUNK_BATCHES = 50
"""Batches' worth of shuffled examples among which similar lengths are brought together."""

T = TypeVar("T")


def training_batches(
    alignment: Sequence[Example],
    reasoning: Sequence[Example],
    *,
    batch_size: int,
    batch_tokens: int,
    factor: float,
    order: Order,
    length: Callable[[Example], int],
    rng: np.random.Generator,
) -> list[list[Example]]:
    """The batches of one epoch in training order.

    Args:
        alignment: examples of the alignment tasks, in any order.
        reasoning: chains, in random order.
        batch_size: examples in a batch at most.
        batch_tokens: the longest length in a batch times its examples at most; 0 sets no such limit.
        factor: of the insertion probability; 1.5 in the paper.
        order: `curriculum`; `uniform` mixes all batches; `sequential` puts all reasoning after all alignment.
        length: of an example, in whatever unit padding is paid.
        rng: source of randomness.
    """
    alignment_batches = bucketed_batches(alignment, batch_size, batch_tokens, length, rng)
    if order != "curriculum":
        mixed = alignment_batches + bucketed_batches(reasoning, batch_size, batch_tokens, length, rng)
        return mixed if order == "sequential" else _shuffled(mixed, rng)

    shares = [bucketed_batches(share, batch_size, batch_tokens, length, rng) for share in _thirds(reasoning)]
    parts = _thirds(alignment_batches)
    ramps = [insert_rising(part, share, factor, rng) for part, share in zip(parts[:-1], shares[:-1], strict=True)]
    return [*(batch for ramp in ramps for batch in ramp), *_shuffled([*parts[-1], *shares[-1]], rng)]


def insert_rising(alignment: Sequence[T], reasoning: Sequence[T], factor: float, rng: np.random.Generator) -> list[T]:
    """One curriculum part: reasoning batches inserted with rising probability, the rest of them at the end.

    >>> insert_rising(["a", "b", "c"], ["R"], 0.0, np.random.default_rng(0))
    ['a', 'b', 'c', 'R']
    >>> insert_rising(["a", "b", "c"], ["R", "S"], 100.0, np.random.default_rng(0))
    ['a', 'b', 'R', 'c', 'S']
    """
    waiting = list(reversed(reasoning))
    ordered: list[T] = []
    for place, batch in enumerate(alignment):
        ordered.append(batch)
        probability = (place / len(alignment)) * (len(reasoning) / len(alignment)) * factor
        if waiting and rng.random() < probability:
            ordered.append(waiting.pop())
    return ordered + waiting[::-1]


def bucketed_batches(
    examples: Sequence[T],
    batch_size: int,
    batch_tokens: int,
    length: Callable[[T], int],
    rng: np.random.Generator,
) -> list[list[T]]:
    """Random batches of similar lengths: shuffled, sorted within chunks of `CHUNK_BATCHES` batches, batches shuffled.

    A batch takes the next longer example while it stays within `batch_size` and `batch_tokens`; an example that exceeds
    the latter by itself is a batch of its own.
    """
    lengths = np.array([length(example) for example in examples])
    order = rng.permutation(len(examples))
    batches = []
    for start in range(0, len(order), batch_size * CHUNK_BATCHES):
        chunk = order[start : start + batch_size * CHUNK_BATCHES]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        batches += _cut(chunk, lengths[chunk], batch_size, batch_tokens)
    return [[examples[place] for place in batch] for batch in _shuffled(batches, rng)]


def _cut(chunk: np.ndarray, lengths: np.ndarray, batch_size: int, batch_tokens: int) -> list[np.ndarray]:
    """Consecutive batches of a chunk whose `lengths` rise."""
    starts, start = [0], 0
    for place, length in enumerate(lengths.tolist()):
        held = place - start
        if held == batch_size or (batch_tokens and held and (held + 1) * length > batch_tokens):
            starts.append(start := place)
    return np.split(chunk, starts[1:])


def _thirds(values: Sequence[T]) -> list[Sequence[T]]:
    """Consecutive parts whose sizes differ by one at most."""
    bounds = [len(values) * part // PARTS for part in range(PARTS + 1)]
    return [values[start:stop] for start, stop in pairwise(bounds)]


def _shuffled(values: Sequence[T], rng: np.random.Generator) -> list[T]:
    return [values[place] for place in rng.permutation(len(values))]
