"""Bad evidence through the whole monitor, a process on a store: clocks that are apart, and one user who floods it."""

from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from evidence_rows import request_evidence
from monitored_shop import KEY, decisions, make_shop, monitor
from pipelines_kfp_stub import kfp_stub

from gream.monitoring.evidence import FEEDBACK_SCHEMA, HOUR, hour_folder, user_hash
from gream.monitoring.evidence_store import push_evidence
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.integration

WINDOW = 600
USERS = 40
REFERENCE = 4
SETTINGS = f"""
window_seconds = {WINDOW}
match_seconds = 60
grace_seconds = 0
hold_out_seconds = {WINDOW}

[calibration]
replicates = 1000
min_windows = {REFERENCE}
min_users = 20
"""
LISTS = (("m0", "m1"), ("m2", "m3"))


@dataclass
class Shop:
    """See `make_shop`; `first` is the begin of the champion's first window."""

    environment: dict
    version: str
    first: int
    folder: Path
    requests: list = field(default_factory=list)
    clicks: list = field(default_factory=list)

    def visit(self, window, user, second, taste, clock=0):
        """One request, answered by a server whose clock is so far ahead, and a click on the first film of the list, ten
        seconds later, taken by another one."""
        at = self.first + window * WINDOW + second
        name, shown = f"request {len(self.requests)}", LISTS[taste]
        self.requests.append(
            request_evidence(
                name,
                timestamp=at + clock,
                user=user_hash(user, KEY),
                last_level1=taste,
                policy_version=self.version,
                items=shown,
                scores=(-1.0, -2.0),
            )
        )
        self.clicks.append((f"click {len(self.clicks)}", user, shown[0], "click", at + 10, name, at + 10))

    def day(self, window, taste=lambda user: user % 2, clock=0):
        for user in range(USERS):
            self.visit(window, f"u{user:02}", 10 * user, taste(user), clock)

    def judge(self, windows):
        """The actions of all windows, decided by one round after the last of them."""
        RequestLog(self.folder).write(self.requests)
        clicks = pl.DataFrame(self.clicks, schema=FEEDBACK_SCHEMA, orient="row")
        for (hour,), rows in clicks.group_by(pl.col("received") // HOUR):
            target = hour_folder(self.folder / "feedback", hour)
            target.mkdir(parents=True)
            rows.write_parquet(target / "part-0a1b2c3d-000000000001.parquet")
        push_evidence(self.folder, self.environment["GREAM_EVIDENCE_STORE"])
        told = monitor(self.environment, self.first + windows * WINDOW)
        assert told.returncode == 0, told.stderr
        return decisions(self.environment)


@pytest.fixture
def shop(bucket, tmp_path):
    with kfp_stub() as kfp:
        kfp.hold("gream-retraining")
        known = ["m0", "m1", "m2", "m3"]
        environment, champion = make_shop(f"s3://{bucket}", tmp_path, SETTINGS, known, known, kfp.endpoint)
        first = -(-int(champion.since.timestamp()) // WINDOW) * WINDOW
        made = Shop(environment, champion.version, first, tmp_path / "evidence")
        for window in range(REFERENCE):
            made.day(window)
        yield made
        assert kfp.runs == {}


def actions(decided):
    return [one.action for one in decided]


def alarms(decided):
    return [set(one.report.alarms) for one in decided[REFERENCE:]]


def test_servers_whose_clocks_are_apart_start_nothing_and_lose_no_click(shop):
    for window in range(REFERENCE, REFERENCE + 3):
        shop.day(window, clock=120)
    decided = shop.judge(REFERENCE + 3)
    assert actions(decided) == ["nothing"] * (REFERENCE + 3)
    assert alarms(decided) == [set()] * 3
    (clicks,) = [one for one in decided[-1].report.results if one.name == "click_rate"]
    assert clicks.users >= USERS - 1
    assert clicks.statistic < 0.05  # Everybody has clicked, as ever.


def test_a_window_that_one_user_floods_starts_nothing(shop):
    for window in range(REFERENCE, REFERENCE + 3):
        shop.day(window)
        for number in range(300):
            shop.visit(window, "flood", number, taste=0)
    decided = shop.judge(REFERENCE + 3)
    assert actions(decided) == ["nothing"] * (REFERENCE + 3)
    assert alarms(decided) == [set()] * 3
    assert decided[-1].report.requests > 300


def test_as_many_users_who_have_changed_are_noticed(shop):
    """The same evidence, but by many: what the two tests above do not see is there to be seen."""
    for window in range(REFERENCE, REFERENCE + 3):
        shop.day(window, taste=lambda user: 0 if user % 8 else 1)
    assert {"last_level1", "shown_level1"} <= alarms(shop.judge(REFERENCE + 3))[-1]
