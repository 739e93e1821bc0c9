"""The page for on-call knows every monitor, in its group, and every count."""

import re
from pathlib import Path

import pytest

from gream.monitoring.catalogue import BARE_TEXTS, COLLISIONS, NEW_ITEMS
from gream.monitoring.monitors import MONITORS

pytestmark = pytest.mark.unit

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "monitoring.md").read_text(encoding="utf-8")


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
