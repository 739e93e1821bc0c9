import numpy as np
import polars as pl
import pytest

from gream.data.catalog import ITEM_SCHEMA
from gream.indexing import SemanticIndex
from gream.policy.bundle import PolicyFacts, save_policy
from gream.policy.model import build_backbone, build_tokenizer
from gream.policy.policy import Policy
from gream.profile_files import load_profile

TITLES = [
    "Alien (1979)",
    "Blade Runner (1982)",
    "Empire Strikes Back, The (1980)",
    "Amélie (2001)",
    "Titanic (1953)",
    "Titanic (1953)",
    "Brazil (1985)",
    "Dark City (1998)",
    "Solaris (1972)",
    "Stalker (1979)",
]


@pytest.fixture(scope="session")
def profile():
    overrides = [
        "model.hidden_size=32",
        "model.layers=2",
        "model.heads=2",
        "model.intermediate_size=64",
        "model.vocabulary=500",
        "corpus.history_window=4",
        "corpus.reasoning_window=3",
        "evaluation.max_chain_tokens=24",
        "evaluation.beams=4",
    ]
    return load_profile("laptop", overrides)


@pytest.fixture(scope="session")
def items():
    rows = {"item_id": [f"m{number}" for number in range(len(TITLES))], "title": TITLES}
    empty = {"description": [""] * len(TITLES), "brand": [""] * len(TITLES), "categories": [[]] * len(TITLES)}
    return pl.DataFrame(rows | empty, schema=ITEM_SCHEMA)


@pytest.fixture(scope="session")
def index(items):
    # The last two share all their codes, so they carry ordinals.
    codes = np.array([[n % 3, n // 3, n % 2] for n in range(len(TITLES) - 2)] + [[2, 2, 0]] * 2)
    return SemanticIndex.from_codes(items["item_id"].to_list(), codes, level_sizes=(3, 3, 2))


@pytest.fixture(scope="session")
def index_tokens(index):
    return index.vocabulary


@pytest.fixture(scope="session")
def tokenizer(profile, index_tokens):
    return build_tokenizer(profile.model, ["Continue the sequence.", "evidence: likes: wants:", *TITLES], index_tokens)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, profile, items, index, tokenizer):
    """A saved policy with random weights."""
    path = tmp_path_factory.mktemp("bundle with a space") / "policy"
    model = build_backbone(profile.model, tokenizer, seed=1)
    save_policy(path, model, tokenizer, index, items, PolicyFacts.of(profile, "films", "sft", seed=7))
    return path


@pytest.fixture(scope="session")
def policy(bundle):
    return Policy.load(bundle)
