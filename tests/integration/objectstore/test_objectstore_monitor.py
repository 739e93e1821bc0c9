"""`gream monitor` as on a cluster: a process whose every place is a store, and a KFP server that it starts runs on."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from evidence_rows import request_evidence
from pipelines_kfp_stub import kfp_stub

from gream.artifacts import atomic_folder
from gream.data.catalog import Catalog, CatalogFacts
from gream.indexing.semantic_index import SemanticIndex
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.evidence_store import push_evidence
from gream.monitoring.request_log import RequestLog
from gream.objectstore import publish_artifact
from gream.policy.bundle import PolicyFacts
from gream.promotion.champion import install, open_champion

pytestmark = pytest.mark.integration

GREAM = str(Path(sys.executable).with_name("gream"))
WINDOW = 60
USERS = 30
WINDOWS = 6
KILLS = 8
SETTINGS = f"""
window_seconds = {WINDOW}
match_seconds = 0
grace_seconds = 0
hold_out_seconds = {WINDOW}

[calibration]
replicates = 1000
min_windows = 3
min_users = 10
"""
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


@pytest.fixture
def kfp():
    with kfp_stub() as stub:
        stub.hold("gream-retraining")
        yield stub


@pytest.fixture
def shop(bucket, tmp_path, kfp):
    """A champion in the store since some windows, with evidence of each; the catalog has films that it lacks."""
    place = f"s3://{bucket}"
    known = ["m0", "m1", "m2", "m3"]
    index = SemanticIndex.from_codes(known, np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.int32), (2, 2))
    with atomic_folder(tmp_path / "bundle", "policy") as folder:
        index.save(folder / "semantic_index")
        items(known).write_parquet(folder / "items.parquet")
        (folder / "policy.json").write_text(FACTS.model_dump_json())
        (folder / "weights").write_bytes(b"not fetched")
    champion = install(open_champion(f"{place}/champion"), tmp_path / "bundle")
    publish_catalog(f"{place}/catalog", tmp_path / "catalog", [*known, "n0"])
    (tmp_path / "monitoring.toml").write_text(SETTINGS)
    environment = os.environ | {
        "GREAM_EVIDENCE_KEY": "k",
        "GREAM_CHAMPION": f"{place}/champion",
        "GREAM_CATALOG": f"{place}/catalog",
        "GREAM_EVIDENCE_STORE": f"{place}/evidence",
        "GREAM_DECISIONS": f"{place}/monitoring/decisions.jsonl",
        "GREAM_CALIBRATIONS": f"{place}/monitoring/calibrations",
        "GREAM_EVIDENTLY": "",
        "GREAM_MONITORING": str(tmp_path / "monitoring.toml"),
        "GREAM_RUNS_ON": "kfp",
        "GREAM_CACHE": str(tmp_path / "cache"),
        "KFP_ENDPOINT": kfp.endpoint,
    }
    first = -(-int(champion.since.timestamp()) // WINDOW) * WINDOW
    write_evidence(tmp_path / "evidence", f"{place}/evidence", champion.version, first)
    return environment, first


def write_evidence(folder, place, version, first):
    log = RequestLog(folder)
    for window in range(WINDOWS):
        log.write(
            request_evidence(
                f"{window}-{user}",
                timestamp=first + window * WINDOW + user,
                user=f"u{user:02}",
                last_level1=user % 2,
                policy_version=version,
                items=("m0", "m1"),
                scores=(-1.0, -2.0),
            )
            for user in range(USERS)
        )
    push_evidence(folder, place)


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


def test_a_monitor_that_is_killed_again_and_again_decides_once_and_starts_one_run(shop, kfp):
    environment, first = shop
    random.seed(0)
    end = first + WINDOWS * WINDOW
    for _ in range(KILLS):
        process = subprocess.Popen([*at(end), "monitor"], env=environment, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(1.0, 6.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    told = monitor(environment, end)
    assert told.returncode == 0, told.stderr
    decided = decisions(environment)
    assert [one.report.start for one in decided] == [first + number * WINDOW for number in range(WINDOWS)]
    runs = [one.id for one in decided if one.action == "index_new_items"]
    assert runs
    assert [run["display_name"] for run in kfp.runs.values()] == runs


def test_without_kfp_windows_are_judged_and_the_run_starts_when_it_is_back(shop, kfp):
    environment, first = shop
    deaf = environment | {"KFP_ENDPOINT": "http://127.0.0.1:1"}
    first_run = WINDOWS - 2
    told = monitor(deaf, first + first_run * WINDOW)
    assert told.returncode == 1
    assert "Error: http://127.0.0.1:1 does not answer" in told.stderr
    before = len(decisions(environment))
    told = monitor(deaf, first + WINDOWS * WINDOW)
    assert told.returncode == 1
    assert len(decisions(environment)) == WINDOWS > before
    assert kfp.runs == {}
    assert monitor(environment, first + WINDOWS * WINDOW).returncode == 0
    assert len(kfp.runs) == 1


def test_a_store_that_is_down_is_one_sentence_and_the_next_round_goes_on(shop, seaweed):
    environment, first = shop
    seaweed.stop()
    try:
        told = monitor(environment | {"GREAM_S3_RETRIES": "0"}, first + WINDOW)
    finally:
        seaweed.start()
    assert told.returncode == 1
    assert told.stderr.count("Error: ") == 1
    assert "Traceback" not in told.stderr
    assert monitor(environment, first + WINDOW).returncode == 0
    assert len(decisions(environment)) == 1


def test_status_is_told_from_the_store_without_the_weights(shop, tmp_path):
    environment, first = shop
    monitor(environment, first + WINDOW)
    told = subprocess.run([GREAM, "status"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "move 1, since" in told.stdout
    assert "Measured when it was trained: recall@10 0.2500." in told.stdout
    assert list((tmp_path / "cache").rglob("semantic_index"))
    assert not list((tmp_path / "cache").rglob("weights"))
