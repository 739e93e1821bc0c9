"""A shop in a store with a champion, and `gream monitor` as a process of its own beside it."""

import os
import subprocess
import sys

import numpy as np
import polars as pl

from gream.artifacts import atomic_folder
from gream.data.catalog import Catalog, CatalogFacts
from gream.indexing.semantic_index import SemanticIndex
from gream.monitoring.decision_log import DecisionLog
from gream.objectstore import publish_artifact
from gream.policy.bundle import PolicyFacts
from gream.promotion.champion import install, open_champion

KEY = "k"
FACTS = PolicyFacts(
    dataset="shop",
    profile="laptop",
    stage="sft",
    seed=0,
    prompts={},
    history_window=5,
    reasoning_window=5,
    beams=2,
    max_chain_tokens=8,
    chain_temperature=1.0,
    chain_top_p=1.0,
    metrics={"recall@10": 0.25},
)


def items(names):
    """A table of films that say enough of themselves."""
    return pl.DataFrame(
        {
            "item_id": names,
            "title": [f"Film {name}" for name in names],
            "description": ["Somebody meets somebody and much happens to both."] * len(names),
            "brand": [""] * len(names),
            "categories": [["Drama"]] * len(names),
        },
        schema_overrides={"categories": pl.List(pl.String)},
    )


def publish_catalog(place, folder, names):
    events = pl.DataFrame({"user_id": ["u"] * 4, "item_id": names[:4], "timestamp": range(4)})
    facts = CatalogFacts(dataset="shop", source="test", exclude_seen=True)
    Catalog(events, items(names), facts).save(folder)
    publish_artifact(folder, place)


def make_shop(place, folder, settings, known, catalog, kfp_endpoint):
    """The champion, which knows some films, since now; the catalog may have more.

    Returns:
        The environment of a `gream monitor`, and the state of the champion's pointer.
    """
    codes = np.array([[number // 2, number % 2] for number in range(len(known))], dtype=np.int32)
    index = SemanticIndex.from_codes(known, codes, (2, 2))
    with atomic_folder(folder / "bundle", "policy") as bundle:
        index.save(bundle / "semantic_index")
        items(known).write_parquet(bundle / "items.parquet")
        (bundle / "policy.json").write_text(FACTS.model_dump_json())
        (bundle / "weights").write_bytes(b"not fetched")
    champion = install(open_champion(f"{place}/champion"), folder / "bundle")
    publish_catalog(f"{place}/catalog", folder / "catalog", catalog)
    (folder / "monitoring.toml").write_text(settings)
    environment = os.environ | {
        "GREAM_EVIDENCE_KEY": KEY,
        "GREAM_CHAMPION": f"{place}/champion",
        "GREAM_CATALOG": f"{place}/catalog",
        "GREAM_EVIDENCE_STORE": f"{place}/evidence",
        "GREAM_DECISIONS": f"{place}/monitoring/decisions.jsonl",
        "GREAM_CALIBRATIONS": f"{place}/monitoring/calibrations",
        "GREAM_EVIDENTLY": "",
        "GREAM_MONITORING": str(folder / "monitoring.toml"),
        "GREAM_RUNS_ON": "kfp",
        "GREAM_CACHE": str(folder / "cache"),
        "KFP_ENDPOINT": kfp_endpoint,
    }
    return environment, champion


def at(moment):
    """A command that runs `gream` with a clock of its own: evidence of the future is evidence of the past then."""
    code = f"import time, sys; time.time = lambda: {moment}; from gream.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code]


def monitor(environment, moment):
    return subprocess.run(
        [*at(moment), "monitor"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def decisions(environment):
    return [entry for entry in DecisionLog(environment["GREAM_DECISIONS"]).entries() if entry.kind == "decision"]
