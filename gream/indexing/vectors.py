"""The encoder's vectors of all items on disk, so that encoding and clustering may be done by different machines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from gream.artifacts import atomic_folder, open_artifact
from gream.errors import ArtifactError

KIND: Final = "item_vectors"
FIELDS: Final = ("titles", "profiles")


@dataclass(frozen=True)
class ItemVectors:
    """Vectors of each item's texts, in the order of the catalogue; an unknown row, or one of a blank text, is zero.

    Attributes:
        titles: `(n, d)` float32.
        profiles: `(n, d)` float32.
    """

    titles: np.ndarray
    profiles: np.ndarray

    def save(self, path: Path) -> None:
        """Write a folder; rows of zeros take no room in it."""
        with atomic_folder(path, KIND, shape=self.titles.shape) as folder:
            for name in FIELDS:
                vectors = getattr(self, name)
                rows = np.flatnonzero(vectors.any(axis=1))
                np.save(folder / f"{name}.rows.npy", rows)
                np.save(folder / f"{name}.npy", vectors[rows])

    @classmethod
    def load(cls, shares: Sequence[Path]) -> "ItemVectors":
        """What the folders of all shares hold together.

        Raises:
            ArtifactError: one is not a complete set of item vectors, or they are not of the same items and encoder.
        """
        shapes = {tuple(open_artifact(path, KIND)["shape"]) for path in shares}
        if len(shapes) != 1:
            raise ArtifactError(f"{shares[0]} and its sisters do not belong together: their shapes are {shapes}.")
        (shape,) = shapes
        whole = cls(*(np.zeros(shape, dtype=np.float32) for _ in FIELDS))
        for path in shares:
            for name in FIELDS:
                getattr(whole, name)[np.load(path / f"{name}.rows.npy")] = np.load(path / f"{name}.npy")
        return whole
