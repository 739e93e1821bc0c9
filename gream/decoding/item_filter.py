"""A filter of the shop, along the trie: worked out once, for as many searches as ask for it."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gream.decoding.trie import Ints, TokenTrie


@dataclass(frozen=True, eq=False)
class ItemFilter:
    """Attributes:
    left_out: (n_items,) which items do not pass.
    passing: how many do.
    open_children: (n_nodes,) children that have an item left, see `TokenTrie.open_children`.
    """

    left_out: NDArray[np.bool_]
    passing: int
    open_children: Ints
    _dead: dict[torch.device, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, left_out: NDArray[np.bool_], trie: TokenTrie) -> "ItemFilter":
        """The filter that leaves these items out."""
        return cls(left_out, trie.n_items - int(left_out.sum()), trie.open_children(left_out))

    def leaves(self, excluded: NDArray[np.int64]) -> bool:
        """Whether an item passes that is not among these, each named once; costs the same in any catalogue."""
        return self.passing > int((~self.left_out[excluded]).sum())

    def dead(self, device: torch.device) -> Tensor:
        """(n_nodes,) nodes that have no item left; copied to a device once."""
        if device not in self._dead:
            self._dead[device] = torch.from_numpy(self.open_children == 0).to(device)
        return self._dead[device]
