"""The page for on-call knows every monitor, in its group, every count, and every cause of an alert."""

import re
from pathlib import Path
from typing import get_args

import pytest

from gream.monitoring.catalogue import BARE_TEXTS, COLLISIONS, NEW_ITEMS
from gream.monitoring.entries import Result
from gream.monitoring.judgement import MissingKind
from gream.monitoring.monitors import MONITORS
from gream.monitoring.paging import ALERT, SEVERITIES

pytestmark = pytest.mark.unit

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "monitoring.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_monitors():
    rows = re.findall(r"^\| (?:\*\*(.+)\*\*|`(\w+)`) \|", PAGE.partition("## What is decided")[0], re.MULTILINE)
    groups, group = {}, ""
    for heading, monitor in rows:
        group = heading.replace(" ", "_") or group
        groups.setdefault(group, [])
        groups[group] += [monitor] if monitor else []
    assert groups == {
        group: [monitor.name for monitor in MONITORS if monitor.group == group]
        for group in dict.fromkeys(monitor.group for monitor in MONITORS)
    }


@pytest.mark.parametrize("name", [NEW_ITEMS, COLLISIONS, BARE_TEXTS])
def test_the_counts_are_there(name):
    assert f"`{name}`" in PAGE


def test_each_cause_of_an_alert_has_its_row():
    calls = PAGE.partition("### When it calls somebody\n")[2].partition("\n## ")[0]
    firsts = " ".join(re.findall(r"^\| (.*?) \|", calls, re.MULTILINE))
    missing = set(get_args(MissingKind)) - {"no_reference"}
    assert set(re.findall(r"`(\w+)`", firsts)) == {*missing, NEW_ITEMS, COLLISIONS, BARE_TEXTS, "run", "order"}
    groups = {monitor.group.replace("_", " ") for monitor in MONITORS}
    assert set(re.findall(r"\*\*(.+?)\*\*", firsts)) == groups


def test_the_alert_is_among_the_platform_s_and_leads_to_its_causes():
    alarms = (DOCS / "kubernetes.md").read_text(encoding="utf-8").partition("## Alarms\n")[2]
    (row,) = re.findall(rf"^\| `{ALERT}` \|.*$", alarms, re.MULTILINE)
    assert " or ".join(f"`{action}`" for action in SEVERITIES) in row
    assert "(monitoring.md#when-it-calls-somebody)" in row


@pytest.mark.parametrize("result", get_args(Result))
def test_how_a_retraining_ends_is_there(result):
    assert f"`{result}`" in PAGE.partition("## Retraining\n")[2].partition("\n## ")[0]
