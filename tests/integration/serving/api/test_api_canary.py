"""A canary that regresses: real visitors of two real servers, and the monitor takes it back by itself."""

import re
import threading
import time
from pathlib import Path

import pytest
from api_server import gream_serve
from promotion_records import gate_verdict, retraining
from tiny_policy import write_tiny_policy

from gream.artifacts import content_digest
from gream.monitoring.canary import CanarySettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Outcome
from gream.monitoring.patrol import Patrol, Places
from gream.monitoring.settings import MonitoringSettings
from gream.promotion.champion import install, open_champion
from gream.promotion.closing import Order, close_run

pytestmark = pytest.mark.integration

KEY = "a secret of the tests"
SETTINGS = MonitoringSettings(
    window_seconds=10, match_seconds=3, grace_seconds=0, canary=CanarySettings(min_users=30, max_windows=60)
)
VISITORS = 40


class NoRuns:
    """Nothing is started here."""

    def state(self, _):
        return "succeeded"


@pytest.fixture
def places(shop, tmp_path):
    return Places(
        champion=str(tmp_path / "champion"),
        catalog=str(shop / "catalog"),
        evidence=str(tmp_path / "evidence"),
        decisions=str(tmp_path / "decisions.jsonl"),
        calibrations=str(tmp_path / "calibrations"),
        evidently="",
        alertmanager="",
        cache=tmp_path / "cache",
        canary=str(tmp_path / "canary"),
    )


@pytest.fixture
def serve(shop, places, tmp_path):
    """A replica that follows a place; all replicas' evidence lies in one folder, as a store would bring it together."""

    def serve(place, name):
        state = tmp_path / name / "state"
        state.mkdir(parents=True)
        Path(places.evidence).mkdir(exist_ok=True)
        (state / "evidence").symlink_to(places.evidence)
        return gream_serve(
            Path(place) / "current" / "policy",
            tmp_path / name,
            *("--catalog", str(shop / "catalog")),
            GREAM_EVIDENCE_KEY=KEY,
            GREAM_POLICY_POLL_SECONDS="0.5",
        )

    return serve


def visit(client, name, pleased):
    """A visitor who takes the first film that they are shown, or one that they are not shown."""
    answer = client.post("/recommend", json={"user_id": name, "k": 3})
    assert answer.status_code == 200
    shown = [item["item_id"] for item in answer.json()["items"]]
    taken = shown[0] if pleased else next(f"item-{number}" for number in range(4) if f"item-{number}" not in shown)
    click = {"event_id": f"by {name}", "user_id": name, "item_id": taken, "kind": "click"}
    told = client.post("/feedback", json={"events": [click | {"timestamp": int(time.time())}]})
    assert told.status_code == 200


@pytest.mark.timeout(300)
def test_a_canary_that_regresses_rolls_back_by_itself(shop, places, serve, tmp_path):
    champion, canary, log = open_champion(places.champion), open_champion(places.canary), DecisionLog(places.decisions)
    patrol = Patrol(places, KEY, SETTINGS, NoRuns())
    first = install(champion, shop / "policy")
    patrol.round(int(time.time()))
    assert canary.read().digest == first.digest

    write_tiny_policy(tmp_path / "challenger", seed=1)
    second = content_digest(tmp_path / "challenger")
    log.append(retraining(int(time.time())))
    with serve(places.champion, "one") as usual, serve(places.canary, "two") as tried:
        failed, stop = [], threading.Event()

        def ask_all_the_time():
            with tried.client() as client:
                while not stop.is_set():
                    answer = client.post("/recommend", json={"history": [], "k": 3})
                    failed.extend([answer.status_code] if answer.status_code != 200 else [])

        asking = threading.Thread(target=ask_all_the_time)
        asking.start()
        with usual.client() as one, tried.client() as two:

            def wait_for(version):
                while two.get("/policy").json()["policy_version"] != version:
                    time.sleep(0.2)

            order = Order("retrain", "d1", places.decisions, places.canary)
            assert (
                close_run(champion, tmp_path / "challenger", gate_verdict(first.digest, second), order).result
                == "on trial"
            )
            wait_for(second[:12])
            for number in range(VISITORS):
                visit(one, f"visitor-{number} of the champion", pleased=True)
                visit(two, f"visitor-{number} of the canary", pleased=False)
            while not (outcomes := [entry for entry in log.entries() if isinstance(entry, Outcome)]):
                time.sleep(1)
                patrol.round(int(time.time()))
            wait_for(first.version)
        stop.set()
        asking.join()
    (outcome,) = outcomes
    assert outcome.result == "withdrawn"
    # The look may come before the last visitors' time for feedback is over.
    assert re.match(
        r"It is worse: hit_rate 0\.000 of [34]\d users beside 1\.000 of [34]\d users, -1\.000 ", outcome.text
    ), outcome.text
    assert (champion.read().version, canary.read().digest) == (first.version, first.digest)
    assert failed == []
