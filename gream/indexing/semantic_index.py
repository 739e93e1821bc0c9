"""SemanticIndex: every item as a short sequence of index tokens, both ways (paper, section 3.1).

An item's tokens are its H codes, and where several items share all H, one more: the ordinal 1, 2, 3, ... All of a
group get one, so no item's tokens are the beginning of another's (the code is prefix-free) and a flat stream of tokens
reads in one way only.

New items join without retraining: their codes come from the frozen codebooks, and no existing item's tokens change.
A new item always gets an ordinal, even where it is alone, so that its path of codes stays open to the next one: items
get the same tokens whether they are added at once or one by one. Where the nearest path belongs to an item without an
ordinal (it cannot get one any more), or its ordinals are used up, the new item takes the nearest last-level code whose
path is open.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gream.artifacts import atomic_folder, open_artifact, verify_artifact
from gream.errors import DataError
from gream.indexing.item_space import ItemSpace
from gream.indexing.residual_kmeans import centroid_costs, nearest_codes
from gream.indexing.tokens import code_token, ordinal_token

KIND = "semantic_index"
MINIMUM_ORDINALS = 16
SPACE_PREFIX = "space_"

Tokens: TypeAlias = "str | Iterable[Tokens]"


class OutgrownError(DataError):
    """The codebooks have no room for a new item: the catalogue must be indexed anew."""


@dataclass(frozen=True, eq=False)
class SemanticIndex:
    """Items and their index tokens.

    Attributes:
        item_ids: n ids in the catalogue's order.
        codes: `(n, H)` int32, 0-based.
        ordinals: `(n,)` int32; 0 where the codes alone are the item's, else 1, 2, 3, ... within those that share them.
        level_sizes: K of each level.
        ordinal_capacity: largest ordinal that the vocabulary has a token for. It stays when items are added, because
            a trained model's vocabulary stays.
        encoder: name of the text encoder, `""` for an imported index.
        codebooks: one `(K, d)` float32 for each level; empty for an imported index, which cannot take new items.
        space: how text vectors enter the codebooks' space; None where they do as they are.
        facts: JSON-serialisable provenance.
    """

    item_ids: tuple[str, ...]
    codes: np.ndarray
    ordinals: np.ndarray
    level_sizes: tuple[int, ...]
    ordinal_capacity: int
    encoder: str = ""
    codebooks: tuple[np.ndarray, ...] = ()
    space: ItemSpace | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codes.shape != (len(self.item_ids), len(self.level_sizes)):
            raise DataError(
                f"a semantic index of {len(self.item_ids)} items and {len(self.level_sizes)} levels needs codes of "
                f"that shape, got {self.codes.shape}."
            )
        if self.codes.size and ((self.codes < 0) | (self.codes >= np.array(self.level_sizes))).any():
            raise DataError(f"a semantic index has codes below 0 or beyond its level sizes {self.level_sizes}.")
        if len(set(self.item_ids)) != len(self.item_ids):
            twice = Counter(self.item_ids).most_common(1)[0][0]
            raise DataError(f"item {twice!r} stands twice in a semantic index.")

    @classmethod
    def from_codes(
        cls,
        item_ids: Sequence[str],
        codes: np.ndarray,
        level_sizes: Sequence[int],
        encoder: str = "",
        codebooks: Sequence[np.ndarray] = (),
        space: ItemSpace | None = None,
        facts: dict[str, Any] | None = None,
    ) -> "SemanticIndex":
        """Give ordinals to items that share all their codes `(n, H)`, in the order of `item_ids`.

        The vocabulary gets twice as many ordinals as are needed now, and at least `MINIMUM_ORDINALS`, so that items
        which come later find room beside their neighbours.
        """
        codes = np.ascontiguousarray(codes, dtype=np.int32)
        ordinals = _ordinals(codes)
        return cls(
            item_ids=tuple(item_ids),
            codes=codes,
            ordinals=ordinals,
            level_sizes=tuple(level_sizes),
            ordinal_capacity=max(MINIMUM_ORDINALS, 2 * int(ordinals.max(initial=0))),
            encoder=encoder,
            codebooks=tuple(codebooks),
            space=space,
            facts=facts or {},
        )

    @property
    def levels(self) -> int:
        """H, the number of codes before the ordinal."""
        return len(self.level_sizes)

    @property
    def vocabulary(self) -> list[str]:
        """All tokens that an item may ever use: level by level, and last the ordinals.

        Also codes that no item carries yet: a new item may, and a model's vocabulary is fixed when it is trained.
        """
        return list(chain.from_iterable(self._spelling))

    @cached_property
    def _spelling(self) -> list[list[str]]:
        """Tokens by position in an item and number."""
        codes = [[code_token(level, code) for code in range(size)] for level, size in enumerate(self.level_sizes)]
        return [*codes, [ordinal_token(ordinal) for ordinal in range(1, self.ordinal_capacity + 1)]]

    @cached_property
    def item_tokens(self) -> list[tuple[str, ...]]:
        """Tokens of every item, in the order of `item_ids`."""
        spelled = self._spelling
        return [
            tuple(spelled[level][code] for level, code in enumerate(path)) + ((spelled[-1][last - 1],) if last else ())
            for path, last in zip(self.codes.tolist(), self.ordinals.tolist(), strict=True)
        ]

    @cached_property
    def _item_at(self) -> dict[tuple[str, ...], str]:
        return dict(zip(self.item_tokens, self.item_ids, strict=True))

    @cached_property
    def _tokens_of(self) -> dict[str, tuple[str, ...]]:
        return dict(zip(self.item_ids, self.item_tokens, strict=True))

    def encode(self, item_ids: Iterable[str]) -> list[tuple[str, ...]]:
        """Tokens of each item.

        Raises:
            DataError: an item is not in the index.
        """
        try:
            return [self._tokens_of[item] for item in item_ids]
        except KeyError as error:
            raise DataError(f"item {error.args[0]!r} is not among the {len(self.item_ids)} of this index.") from error

    def decode(self, tokens: Tokens) -> list[str]:
        """Items that tokens spell, in order.

        Args:
            tokens: one flat stream, or sequences of tokens nested to any depth, which are read as one stream.

        Raises:
            DataError: at some position stands a token that continues no item, or the stream ends within an item.
        """
        items: list[str] = []
        pending: tuple[str, ...] = ()
        position = -1
        for position, token in enumerate(_flatten(tokens)):
            pending = (*pending, token)
            item = self._item_at.get(pending)
            if item is not None:
                items.append(item)
                pending = ()
            elif not self._may_continue(pending):
                raise DataError(
                    f"position {position} of the tokens: {''.join(pending)!r} is not, and cannot become, "
                    "an item of this semantic index."
                )
        if pending:
            raise DataError(
                f"position {position} of the tokens: they end within an item, after {''.join(pending)!r}; "
                f"an item has {self.levels} codes, and an ordinal where several items share them."
            )
        return items

    def _may_continue(self, pending: tuple[str, ...]) -> bool:
        if len(pending) < self.levels:
            return pending[-1] in self._level_tokens[len(pending) - 1]
        return (*pending, ordinal_token(1)) in self._item_at

    @cached_property
    def _level_tokens(self) -> list[frozenset[str]]:
        return [frozenset(tokens) for tokens in self._spelling]

    def add_items(self, item_ids: Sequence[str], vectors: np.ndarray) -> "SemanticIndex":
        """A larger index: new items by their vectors `(m, d)` in the codebooks' space; old items keep their tokens.

        Raises:
            DataError: an id is already there or comes twice, the index has no codebooks, the vectors do not fit them.
            OutgrownError: around an item every path is taken.
        """
        if not self.codebooks:
            raise DataError("this semantic index was imported without codebooks, so new items cannot be added to it.")
        if len(item_ids) != len(vectors):
            raise DataError(f"{len(item_ids)} new items came with {len(vectors)} vectors; each needs one.")
        for item, count in Counter(item_ids).items():
            if item in self._tokens_of or count > 1:
                raise DataError(f"new item {item!r} is already in the semantic index, or comes twice.")
        codes = nearest_codes(vectors, self.codebooks)
        paths = list(map(tuple, self.codes.tolist()))
        sealed = {path for path, ordinal in zip(paths, self.ordinals.tolist(), strict=True) if ordinal == 0}
        carried = Counter(paths)
        ordinals = np.empty(len(codes), dtype=np.int32)
        for row, item in enumerate(item_ids):
            path = tuple(codes[row].tolist())
            if path in sealed or carried[path] >= self.ordinal_capacity:
                path = self._nearest_open(item, vectors[row], path, sealed, carried)
                codes[row] = path
            carried[path] += 1
            ordinals[row] = carried[path]
        return replace(
            self,
            item_ids=(*self.item_ids, *item_ids),
            codes=np.concatenate([self.codes, codes]),
            ordinals=np.concatenate([self.ordinals, ordinals]),
        )

    def _nearest_open(
        self,
        item: str,
        vector: np.ndarray,
        path: tuple[int, ...],
        sealed: set[tuple[int, ...]],
        carried: Counter[tuple[int, ...]],
    ) -> tuple[int, ...]:
        prefix = path[:-1]
        residual = vector - sum(book[code] for book, code in zip(self.codebooks, prefix, strict=False))
        for code in centroid_costs(residual[None], self.codebooks[-1])[0].argsort(kind="stable").tolist():
            candidate = (*prefix, code)
            if candidate not in sealed and carried[candidate] < self.ordinal_capacity:
                return candidate
        raise OutgrownError(
            f"new item {item!r}: all {self.level_sizes[-1]} last-level codes around it are taken; "
            "the catalogue has outgrown its codebooks, index it anew."
        )

    def save(self, path: Path) -> None:
        """Write the index as a folder: `items.json`, `arrays.npz`, `manifest.json`."""
        arrays = {"codes": self.codes, "ordinals": self.ordinals}
        arrays |= {f"codebook_{level}": book for level, book in enumerate(self.codebooks)}
        if self.space is not None:
            arrays |= {f"{SPACE_PREFIX}{name}": array for name, array in self.space.arrays().items()}
        content = {
            "level_sizes": self.level_sizes,
            "ordinal_capacity": self.ordinal_capacity,
            "encoder": self.encoder,
        }
        with atomic_folder(path, KIND, content=content, facts=self.facts) as folder:
            (folder / "items.json").write_text(json.dumps(self.item_ids, ensure_ascii=False) + "\n", encoding="utf-8")
            with (folder / "arrays.npz").open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> "SemanticIndex":
        """Read an index folder.

        Raises:
            ArtifactError: `path` is not a complete, undamaged semantic index.
        """
        verify_artifact(path, KIND)
        manifest = open_artifact(path, KIND)
        content = manifest["content"]
        with np.load(path / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        space = {name.removeprefix(SPACE_PREFIX): arrays[name] for name in arrays if name.startswith(SPACE_PREFIX)}
        books = sum(name.startswith("codebook_") for name in arrays)
        return cls(
            item_ids=tuple(json.loads((path / "items.json").read_text(encoding="utf-8"))),
            codes=arrays["codes"],
            ordinals=arrays["ordinals"],
            level_sizes=tuple(content["level_sizes"]),
            ordinal_capacity=content["ordinal_capacity"],
            encoder=content["encoder"],
            codebooks=tuple(arrays[f"codebook_{level}"] for level in range(books)),
            space=ItemSpace(**space) if space else None,
            facts=manifest["facts"],
        )


def _ordinals(codes: np.ndarray) -> np.ndarray:
    """`(n,)` int32: 0 for a row of `codes` that is unique, else its running number 1, 2, ... among its equals."""
    _, group, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    running = np.empty(len(codes), dtype=np.int32)
    running[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    return np.where(sizes[group] > 1, running, 0).astype(np.int32)


def _flatten(tokens: Tokens) -> Iterable[str]:
    if isinstance(tokens, str):
        yield tokens
        return
    for part in tokens:
        yield from _flatten(part)
