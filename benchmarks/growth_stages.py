"""What `benchmarks.growth` measures: each stage on a simulated shop, alone in a process.

    python -m benchmarks.growth_stages STAGE FOLDER WARM_UP_FOLDER

A stage is a function that imports what it needs, gets ready what is no part of it, and returns the work itself. It
reads what the stages before it left in the shop's folder and leaves its own output there, as in a run. The process
first does the work on the small shop of the warm-up folder, so that imports, threads and buffers of libraries do not
count. Then it prints one line of JSON: `seconds`, and by how many `mib` its resident memory rose at most.
"""

import ctypes
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

Work = Callable[[], object]

LEVELS, CODES, ITERATIONS = 4, 256, 5
"""Of the index. Iterations are cut from 25, which is linear."""
RANKED_USERS: Final = 1_000
BEAMS, BATCH, SEARCHES = 10, 16, 10


def shop(home: Path) -> Work:
    from benchmarks.simulated_shop import write_shop

    return lambda: write_shop(home / "shop", int(home.name))


def ingest(home: Path) -> Work:
    from gream.data.importers import import_catalog

    return lambda: import_catalog(home / "shop", k_core=5).save(home / "catalog")


def split(home: Path) -> Work:
    from gream.data.catalog import Catalog
    from gream.data.split import leave_last_one_out

    return lambda: leave_last_one_out(Catalog.load(home / "catalog"))


def enrich(home: Path) -> Work:
    from gream.config import EnrichmentConfig
    from gream.data.catalog import Catalog
    from gream.enrichment.enrich import enrich_catalog

    def work() -> None:
        profiles = enrich_catalog(Catalog.load(home / "catalog"), EnrichmentConfig(), home / "replies.sqlite")
        profiles.save(home / "profiles")

    return work


def vectors(home: Path) -> Work:
    from benchmarks.simulated_shop import text_vectors
    from gream.data.catalog import Catalog

    return lambda: text_vectors(Catalog.load(home / "catalog").items.height).save(home / "vectors")


def kmeans(home: Path) -> Work:
    from gream.indexing.residual_kmeans import BalancedResidualKMeans, shrink
    from gream.indexing.vectors import ItemVectors

    points = ItemVectors.load([home / "vectors"]).profiles
    size = shrink(len(points), LEVELS, CODES)
    return lambda: BalancedResidualKMeans(LEVELS, size, iterations=ITERATIONS).fit(points)


def collaborative(home: Path) -> Work:
    from gream.data.catalog import Catalog
    from gream.data.split import leave_last_one_out
    from gream.indexing.collaborative import collaborative_vectors

    catalog = Catalog.load(home / "catalog")
    sequences = list(leave_last_one_out(catalog).train.values())
    return lambda: collaborative_vectors(sequences, catalog.item_ids, seed=0)


def codes(home: Path) -> Work:
    """A semantic index of random codes, for the stages that do not ask what its tokens mean."""
    from gream.data.catalog import Catalog
    from gream.indexing.semantic_index import SemanticIndex

    ids = Catalog.load(home / "catalog").item_ids
    drawn = np.random.default_rng(0).integers(CODES, size=(len(ids), LEVELS))
    return lambda: SemanticIndex.from_codes(ids, drawn, (CODES,) * LEVELS).save(home / "index")


def index(home: Path) -> Work:
    from gream.config import IndexConfig
    from gream.data.catalog import Catalog
    from gream.enrichment.profiles import ItemProfiles
    from gream.indexing.build import build_index
    from gream.indexing.vectors import ItemVectors

    config = IndexConfig(levels=LEVELS, codebook_size=CODES, iterations=ITERATIONS, collaborative_weight=1.0)

    def work() -> None:
        texts = ItemProfiles.load(home / "profiles").texts
        encoded = ItemVectors.load([home / "vectors"])
        build_index(Catalog.load(home / "catalog"), texts, config, 0, encoded)[0].save(home / "built-index")

    return work


def corpora(home: Path) -> Work:
    """One pass over the sequences, as in the profile `paper`; with a chain, a search and a prompt for each user."""
    from gream.config import CorpusConfig
    from gream.corpora.build import build_corpus
    from gream.data.catalog import Catalog
    from gream.data.split import leave_last_one_out
    from gream.enrichment.profiles import ItemProfiles
    from gream.indexing.semantic_index import SemanticIndex

    size = int(home.name)
    config = CorpusConfig(itemsearch_samples=size, reasoning_samples=size, rl_prompts=size)

    def work() -> None:
        catalog = Catalog.load(home / "catalog")
        texts = ItemProfiles.load(home / "profiles").texts
        semantic_index = SemanticIndex.load(home / "index")
        build_corpus(catalog, leave_last_one_out(catalog), texts, semantic_index, config, 0).save(home / "corpus")

    return work


def language(home: Path) -> Work:
    """What an engine knows beside the weights, read and made ready."""
    from gream.data.catalog import Catalog
    from gream.indexing.semantic_index import SemanticIndex
    from gream.policy.bundle import PolicyFacts
    from gream.policy.language import ItemLanguage
    from gream.policy.model import build_tokenizer
    from gream.profile_files import load_profile

    profile = load_profile("laptop")
    tokenizer = build_tokenizer(
        profile.model, ["What does this user want?"], SemanticIndex.load(home / "index").vocabulary
    )

    def work() -> ItemLanguage:
        items = Catalog.load(home / "catalog").items
        facts = PolicyFacts.of(profile, "simulated", "sft", 0)
        return ItemLanguage(tokenizer, SemanticIndex.load(home / "index"), items, facts)

    return work


def features(home: Path) -> Work:
    from gream.data.catalog import Catalog
    from serving.features.offline import write_offline

    return lambda: write_offline(Catalog.load(home / "catalog"), home / "features", window=500)


def feature_store(home: Path) -> Work:
    """The features and what follows: Feast brings the newest of each user and item online, into sqlite here."""
    from gream.data.catalog import Catalog
    from serving.features.build import build_features
    from serving.settings import ServingSettings

    settings = ServingSettings(state=home / "serving", online_store="sqlite")
    return lambda: build_features(Catalog.load(home / "catalog"), settings)


def _train(home: Path) -> tuple[list[list[int]], int]:
    from gream.data.catalog import Catalog
    from gream.data.split import leave_last_one_out

    catalog = Catalog.load(home / "catalog")
    number = {item: place for place, item in enumerate(catalog.item_ids)}
    return [[number[item] for item in items] for items in leave_last_one_out(catalog).train.values()], len(number)


def transitions(home: Path) -> Work:
    from gream.evaluation.baselines import Transitions

    train, items = _train(home)
    return lambda: Transitions(train, items)


def item_knn(home: Path) -> Work:
    from gream.evaluation.baselines import ItemKnn

    train, items = _train(home)
    return lambda: ItemKnn(train, items)


def ranking(home: Path) -> Work:
    """All items ranked for a fixed number of users."""
    from gream.evaluation.baselines import Transitions
    from gream.evaluation.ranking import rank_histories

    train, items = _train(home)
    scorer = Transitions(train, items)
    return lambda: rank_histories(scorer, train[:RANKED_USERS], 10, exclude_seen=False)


def trie(home: Path) -> Work:
    from benchmarks.beam_search import catalogue
    from gream.decoding.trie import TokenTrie

    rows = catalogue(int(home.name), np.random.default_rng(0)).tolist()
    return lambda: TokenTrie.build(rows)


def _searched(home: Path) -> tuple[Any, list[list[int]], Any]:
    """An untrained model, prompts, and a trie of the shop's size."""
    from benchmarks.beam_search import FIRST_CODE, PROMPT, SHAPES, catalogue, untrained_qwen3
    from gream.decoding.trie import TokenTrie

    random = np.random.default_rng(0)
    prompts = random.integers(1, FIRST_CODE, (BATCH, PROMPT)).tolist()
    return untrained_qwen3(SHAPES["tiny"]), prompts, TokenTrie.build(catalogue(int(home.name), random).tolist())


def search(home: Path) -> Work:
    from gream.decoding.beam import beam_search

    model, prompts, tree = _searched(home)
    return lambda: [beam_search(model, prompts, tree, BEAMS) for _ in range(SEARCHES)]


def score(home: Path) -> Work:
    """The exact probability of every item for one user."""
    from gream.decoding.score import score_all

    model, prompts, tree = _searched(home)
    return lambda: score_all(model, prompts[0], tree)


STAGES: Final[dict[str, Callable[[Path], Work]]] = {
    "shop": shop,
    "import": ingest,
    "split": split,
    "enrichment": enrich,
    "vectors": vectors,
    "codes": codes,
    "k-means": kmeans,
    "collaborative": collaborative,
    "index": index,
    "corpora": corpora,
    "item language": language,
    "features": features,
    "feature store": feature_store,
    "transitions": transitions,
    "item-kNN": item_knn,
    "ranking": ranking,
    "trie": trie,
    "beam search": search,
    "exact scores": score,
}
"""In an order in which each finds its inputs."""
MADE_UP: Final = ("shop", "vectors", "codes")
"""What only makes inputs."""
LARGEST: Final = {"index": 100_000, "corpora": 100_000, "feature store": 100_000, "exact scores": 100_000}
"""Where a tenfold shop would take more than a few minutes, or more than half of 24 GiB."""


def measure(stage: str, home: Path, warm_up: Path) -> dict[str, float]:
    """Seconds and MiB of one stage; on the warm-up shop itself, and where inputs are made, it is not warmed up."""
    if stage not in MADE_UP and home != warm_up:
        STAGES[stage](warm_up)()
    work = STAGES[stage](home)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # What was freed while it got ready would hide what the work takes.
    Path("/proc/self/clear_refs").write_text("5")  # The peak is then what is resident now.
    before = _peak_mib()
    started = time.perf_counter()
    kept = work()
    seconds, risen = time.perf_counter() - started, _peak_mib() - before
    del kept  # Only now: a result that is given back belongs to the peak.
    return {"seconds": seconds, "mib": risen}


def _peak_mib() -> float:
    """The highest resident memory of this program (`ru_maxrss` would be that of its parent, where it was larger)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found.group(1)) / 1_024


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
