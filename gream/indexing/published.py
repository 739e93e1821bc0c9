"""Published indices in place of our own, so that indexing methods compare with everything else equal.

Files of the shape `{"item": ["<a_183>", "<b_70>", ...]}`, as LETTER, IBA, MiniOneRec and UniGenRec publish them. What
matters is the number at each position; names are respelled as our tokens. A last position whose number only tells
apart items with equal codes is recognised by itself and becomes our ordinal.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gream.artifacts import file_digest
from gream.data.catalog import Catalog
from gream.errors import DataError
from gream.indexing.audit import CollisionAudit, audit_catalogue
from gream.indexing.semantic_index import SemanticIndex
from gream.indexing.tokens import CODE_LETTERS

NUMBER = re.compile(r"<[A-Za-z]+[0-9]*_([0-9]+)>")


def from_published(path: Path) -> SemanticIndex:
    """Import a published index. It has no codebooks, so it cannot take new items.

    Raises:
        DataError: the file is not JSON of that shape, or an item has another number of tokens than the first.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a published index: {error}.") from error
    if not isinstance(entries, dict) or not entries:
        raise DataError(f'{path} must be a JSON object {{"item": ["<a_183>", ...]}} with at least one item.')
    numbers = np.array(_numbers(path, entries), dtype=np.int64)
    if _is_suffix(numbers):
        numbers = numbers[:, :-1]
    if numbers.shape[1] > len(CODE_LETTERS):
        raise DataError(f"{path} has {numbers.shape[1]} code levels; at most {len(CODE_LETTERS)} can be spelled.")
    return SemanticIndex.from_codes(
        list(entries),
        numbers,
        level_sizes=(numbers.max(axis=0) + 1).tolist(),
        facts={"published": path.name, "sha256": file_digest(path)},
    )


def published_index(
    path: Path, catalog: Catalog, profile_texts: Mapping[str, str]
) -> tuple[SemanticIndex, CollisionAudit]:
    """A published index for a catalogue, and the audit of the catalogue's items; items of others stay in the index.

    Raises:
        DataError: the file is no published index, or lacks an item of the catalogue.
    """
    index = from_published(path)
    known = set(index.item_ids)
    missing = [item for item in catalog.item_ids if item not in known]
    if missing:
        raise DataError(f"{path} has no tokens for item {missing[0]!r} of the catalogue ({len(missing)} such items).")
    return index, audit_catalogue(index.item_ids, index.codes, index.level_sizes, catalog, profile_texts)


def _numbers(path: Path, entries: dict[str, Any]) -> list[list[int]]:
    rows: list[list[int]] = []
    levels = None
    for item, tokens in entries.items():
        listed = tokens if isinstance(tokens, list) else [tokens]
        matches = [NUMBER.fullmatch(token) if isinstance(token, str) else None for token in listed]
        row = [int(match.group(1)) for match in matches if match is not None]
        levels = levels or len(row)
        if not row or len(row) != len(listed) or len(row) != levels:
            raise DataError(
                f"{path}: item {item!r} has {tokens!r}, but {levels or 'some'} tokens like '<a_183>' are due."
            )
        rows.append(row)
    return rows


def _is_suffix(numbers: np.ndarray) -> bool:
    """Whether the last column counts 0, 1, 2, ... within each group of equal other columns.

    A code level almost never does: only if every item that is alone under its prefix had code 0.
    """
    if numbers.shape[1] < 2:
        return False
    order = np.lexsort(numbers.T[::-1])
    head, last = numbers[order, :-1], numbers[order, -1]
    fresh = np.concatenate([[True], (head[1:] != head[:-1]).any(axis=1)])
    starts = np.nonzero(fresh)[0]
    running = np.arange(len(last)) - np.repeat(starts, np.diff([*starts, len(last)]))
    return bool((last == running).all())
