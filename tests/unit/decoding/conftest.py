import numpy as np
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from gream.decoding.trie import TokenTrie

VOCABULARY = 40


@pytest.fixture(scope="session")
def model():
    """A random Qwen3 whose logits are spread widely enough that no two items tie by accident."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.3,
        attn_implementation="sdpa",
    )
    return Qwen3ForCausalLM(config).eval()


@pytest.fixture(scope="session")
def items():
    """Twelve items of three or four tokens, unsorted; 5-21-30 ends in ordinals 35 and 36."""
    return [
        (6, 22, 31),
        (5, 21, 30, 35),
        (5, 20, 30),
        (6, 20, 30),
        (5, 21, 30, 36),
        (7, 23, 33),
        (5, 20, 31),
        (6, 22, 30),
        (5, 21, 32),
        (7, 20, 30),
        (7, 23, 30),
        (6, 22, 34),
    ]


@pytest.fixture(scope="session")
def trie(items):
    return TokenTrie.build(items)


@pytest.fixture(scope="session")
def prompts():
    """Ragged, so that padding is tested wherever they are used."""
    return [[1, 2, 3, 9], [4], [10, 11, 12, 13, 14, 15, 16], [3, 3]]


@pytest.fixture(scope="session")
def brute_force(model, items):
    """Log-probability of every item by one plain forward pass for each token: no trie, no cache, no batch."""

    def log_probabilities(prompt):
        scores = []
        for item in items:
            score = 0.0
            for place, token in enumerate(item):
                legal = sorted({other[place] for other in items if other[:place] == item[:place]})
                with torch.no_grad():
                    logits = model(torch.tensor([[*prompt, *item[:place]]])).logits[0, -1].double()
                score += float(logits[token] - torch.logsumexp(logits[legal], dim=0))
            scores.append(score)
        return np.array(scores)

    return log_probabilities
