"""The token trie: which tokens may follow which, so that every decoded answer is an item of the catalogue.

Nodes are numbered breadth-first over the lexicographically sorted sequences. Two facts follow and make the layout
small: the children of a node are consecutive numbers, and so are the children of consecutive nodes. One offset for each
node is then enough to find its children (compressed sparse rows without a column array), and its parent by bisection.

Built in NumPy, so that it can be tested and stored without torch; `gream.decoding.device_trie` is its view in torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gream.errors import ArtifactError, RequestError

ROOT = 0

Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TokenTrie:
    """A trie with N nodes over n items; all arrays are int32 (12 N + 4 n bytes together).

    Attributes:
        token: (N,) the token that leads into each node; 0 for the root, where it means nothing.
        first_child: (N + 1,) the children of node v are `first_child[v] .. first_child[v + 1] - 1`, in token order.
        item_of_node: (N,) the item number at each leaf, -1 at inner nodes.
        leaf_of_item: (n,) the leaf of each item.
        level_start: (depth + 2,) nodes of depth d are `level_start[d] .. level_start[d + 1] - 1`.
        max_branching: (depth,) the largest number of children of any node at each depth.
    """

    token: Ints
    first_child: Ints
    item_of_node: Ints
    leaf_of_item: Ints
    level_start: tuple[int, ...]
    max_branching: tuple[int, ...]

    @classmethod
    def build(cls, sequences: Sequence[Sequence[int]]) -> "TokenTrie":
        """Build the trie of token-id sequences; position i in `sequences` is item number i.

        Raises:
            ArtifactError: a sequence is empty or has a negative id, two are equal, or one begins another.
        """
        rows, order = _sorted_rows(sequences)
        count, depth = rows.shape
        differs = np.ones((count, depth), dtype=bool)
        differs[1:] = np.logical_or.accumulate(rows[1:] != rows[:-1], axis=1)
        lengths = (rows >= 0).sum(axis=1)
        _refuse_prefixes(differs, lengths, order)

        begins = differs & (rows >= 0)
        level_start = np.concatenate([[0], 1 + np.concatenate([[0], np.cumsum(begins.sum(axis=0))])])
        node = level_start[1:-1] + np.cumsum(begins, axis=0) - 1
        parent = np.concatenate([np.zeros((count, 1), dtype=node.dtype), node[:, :-1]], axis=1)

        total = int(level_start[-1])
        token = np.zeros(total, dtype=np.int32)
        token[node[begins]] = rows[begins]
        children = np.bincount(parent[begins], minlength=total)
        leaves = node[np.arange(count), lengths - 1]
        item_of_node = np.full(total, -1, dtype=np.int32)
        item_of_node[leaves] = order
        leaf_of_item = np.empty(count, dtype=np.int32)
        leaf_of_item[order] = leaves
        return cls(
            token=token,
            first_child=np.concatenate([[1], 1 + np.cumsum(children)]).astype(np.int32),
            item_of_node=item_of_node,
            leaf_of_item=leaf_of_item,
            level_start=tuple(int(start) for start in level_start),
            max_branching=tuple(int(children[level_start[d] : level_start[d + 1]].max()) for d in range(depth)),
        )

    @cached_property
    def span(self) -> range:
        """The token ids from the smallest to the largest that occurs; index tokens enter a vocabulary together, so that
        hardly any others lie between."""
        return range(int(self.token[1:].min()), int(self.token[1:].max()) + 1)

    @property
    def depth(self) -> int:
        """Tokens of the longest item."""
        return len(self.max_branching)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.leaf_of_item)

    @property
    def n_nodes(self) -> int:
        """Number of nodes, the root and the leaves among them."""
        return len(self.token)

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        return sum(array.nbytes for array in (self.token, self.first_child, self.item_of_node, self.leaf_of_item))

    def parents(self, nodes: NDArray[np.integer]) -> NDArray[np.int64]:
        """The parent of each node (never the root)."""
        # In the array's own type: numpy would copy the whole trie to compare it with another one.
        wanted = np.asarray(nodes, dtype=self.first_child.dtype)
        return np.searchsorted(self.first_child, wanted, side="right") - 1

    def child(self, node: int, token: int) -> int:
        """The child of `node` that `token` leads to, or -1 where the token is illegal."""
        first, last = self.first_child[node], self.first_child[node + 1]
        place = first + int(np.searchsorted(self.token[first:last], token))
        return int(place) if place < last and self.token[place] == token else -1

    def paths(self, items: NDArray[np.integer]) -> NDArray[np.int64]:
        """(len(items), depth + 1) nodes from the root to each item's leaf, then -1."""
        leaves = self.leaf_of_item[items].astype(np.int64)
        depths = np.searchsorted(self.level_start, leaves, side="right") - 1
        paths = np.full((len(leaves), self.depth + 1), -1, dtype=np.int64)
        nodes = leaves
        for depth in range(self.depth, 0, -1):
            here = depths >= depth
            paths[here, depth] = nodes[here]
            nodes = np.where(here, self.parents(nodes), nodes)
        paths[:, 0] = ROOT
        return paths

    def open_children(self, left_out: NDArray[np.bool_]) -> Ints:
        """(N,) children of each node that have an item left; for a leaf 1 where its own item is, else 0.

        Args:
            left_out: (n,) items that must not be returned.
        """
        found = np.zeros(self.n_nodes, dtype=np.int32)
        found[self.leaf_of_item] = ~left_out
        for level in range(self.depth - 1, -1, -1):
            first, below, end = self.level_start[level : level + 3]
            counted = np.concatenate([[0], np.cumsum(found[below:end] > 0, dtype=np.int32)])
            # The next level is the children of this one, in order; a leaf has none among them and stays as it is.
            found[first:below] += np.diff(counted[self.first_child[first : below + 1] - below])
        return found

    def dead_keys(
        self, excluded: Sequence[Sequence[int] | NDArray[np.integer]], open_children: Sequence[Ints | None] = ()
    ) -> NDArray[np.int64]:
        """Nodes that have no allowed item left, for each row of a batch, as sorted keys `row * n_nodes + node`.

        Only paths to excluded items are looked at, from the leaves up: a node is dead when all its children are.

        Args:
            excluded: for each row the item numbers that must not be returned.
            open_children: of the filter of each row, where any has one; what is dead by a filter alone has no key.

        Raises:
            RequestError: an item number is outside the catalogue.
        """
        lengths = np.array([len(items) for items in excluded], dtype=np.int64)
        if not lengths.any():
            return np.empty(0, dtype=np.int64)
        rows = np.repeat(np.arange(len(excluded)), lengths)
        items = np.concatenate([np.asarray(items, dtype=np.int64) for items in excluded])
        outside = items[(items < 0) | (items >= self.n_items)]
        if outside.size:
            raise RequestError(f"excluded item number {outside[0]} is outside the catalogue of {self.n_items} items.")
        leaves = self.leaf_of_item[items]
        passed = _filtered(np.ones_like(leaves), rows, leaves, open_children) > 0
        rows, leaves = rows[passed], leaves[passed]
        dead = [np.empty(0, dtype=np.int64)]
        fallen = dead[0]
        for level in range(self.depth, 0, -1):
            here = (leaves >= self.level_start[level]) & (leaves < self.level_start[level + 1])
            keys = np.union1d(rows[here] * self.n_nodes + leaves[here], fallen)
            dead.append(keys)
            row, node = np.divmod(keys, self.n_nodes)
            above, dead_children = np.unique(row * self.n_nodes + self.parents(node), return_counts=True)
            row, parent = np.divmod(above, self.n_nodes)
            children = self.first_child[parent + 1] - self.first_child[parent]
            fallen = above[dead_children == _filtered(children, row, parent, open_children)]
        return np.sort(np.concatenate(dead))


def _filtered(
    values: Ints, rows: NDArray[np.int64], nodes: NDArray[np.integer], open_children: Sequence[Ints | None]
) -> Ints:
    """Values of nodes; in rows that have a filter, the children that it leaves open."""
    for row, left in enumerate(open_children):
        if left is not None:
            values[rows == row] = left[nodes[rows == row]]
    return values


def _sorted_rows(sequences: Sequence[Sequence[int]]) -> tuple[Ints, NDArray[np.int64]]:
    """The sequences as a lexicographically sorted (n, depth) matrix padded with -1, and the item of each row."""
    if not sequences:
        raise ArtifactError("a token trie needs at least one item.")
    lengths = np.array([len(sequence) for sequence in sequences])
    if not lengths.all():
        raise ArtifactError(f"item number {int(np.argmin(lengths))} has no index tokens.")
    matrix = np.full((len(sequences), lengths.max()), -1, dtype=np.int32)
    flat = np.concatenate([np.asarray(sequence, dtype=np.int32) for sequence in sequences])
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = flat
    if (flat < 0).any():
        wrong = int(np.repeat(np.arange(len(sequences)), lengths)[np.argmax(flat < 0)])
        raise ArtifactError(f"item number {wrong} has a negative token id in {list(sequences[wrong])}.")
    order = np.lexsort(matrix.T[::-1])
    return matrix[order], order


def _refuse_prefixes(differs: NDArray[np.bool_], lengths: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    """A sequence that equals or begins another stands directly before it in sorted order."""
    swallowed = ~differs[np.arange(1, len(order)), lengths[:-1] - 1]
    if swallowed.any():
        row = int(np.argmax(swallowed))
        relation = "equal" if lengths[row] == lengths[row + 1] else "the beginning of"
        raise ArtifactError(
            f"the index tokens of item number {order[row]} are {relation} those of item number {order[row + 1]}: "
            "an item could not be told from another. Build the semantic index again."
        )
