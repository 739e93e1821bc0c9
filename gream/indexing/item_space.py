"""The space in which items are clustered when co-occurrence joins the text: how a text vector gets into it."""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class ItemSpace:
    """Text block and collaborative block, side by side, each centred and of unit mean-square length before weighting.

    Everything that an item without interactions needs is here, so that it can be indexed from its text alone.

    Attributes:
        text_mean: `(t,)` mean of the encoder's vectors.
        text_axes: `(t, p)` their principal axes, scaled so that the block has unit mean-square length.
        ridge: `(p, c)` and
        ridge_offset: `(c,)` predict an item's collaborative vector from its text block.
        collaborative_mean: `(c,)`.
        collaborative_scale: `()` factor that gives the centred collaborative block the length `weight`.
    """

    text_mean: np.ndarray
    text_axes: np.ndarray
    ridge: np.ndarray
    ridge_offset: np.ndarray
    collaborative_mean: np.ndarray
    collaborative_scale: np.ndarray

    def text_block(self, text: np.ndarray) -> np.ndarray:
        """`(m, t)` encoder vectors to `(m, p)`."""
        block: np.ndarray = (text - self.text_mean) @ self.text_axes
        return block

    def join(self, text_block: np.ndarray, collaborative: np.ndarray) -> np.ndarray:
        """Blocks `(m, p)` and `(m, c)` to vectors `(m, p + c)` float32."""
        centred = (collaborative - self.collaborative_mean) * self.collaborative_scale
        return np.hstack([text_block, centred]).astype(np.float32)

    def predict_collaborative(self, text_block: np.ndarray) -> np.ndarray:
        """Collaborative vectors `(m, c)` of unit length, as the text block `(m, p)` suggests them."""
        return unit_rows(text_block @ self.ridge + self.ridge_offset)

    def project(self, text: np.ndarray) -> np.ndarray:
        """Vectors `(m, p + c)` of items that nobody has interacted with yet, from encoder vectors `(m, t)`."""
        block = self.text_block(text)
        return self.join(block, self.predict_collaborative(block))

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name, for saving; `ItemSpace(**arrays)` restores them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length; a zero row stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = vectors / np.where(lengths > 0, lengths, 1.0)
    return unit
