"""The data of a retraining: made from evidence on disk, and named by what is in it."""

import shutil
from contextlib import suppress
from dataclasses import replace
from threading import Thread

import polars as pl
import pytest

from gream.artifacts import content_digest
from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.data.fresh import Cut
from gream.data.held_out import HeldOut
from gream.errors import DataError
from gream.monitoring.evidence import FEEDBACK_SCHEMA
from gream.monitoring.feedback_reader import read_feedback
from gream.stages import refresh
from gream.stages.refresh import FreshData
from gream.stages.store import open_run

pytestmark = pytest.mark.unit

START = 20_000 * 86_400
HOUR = 3_600
CUT = Cut(START + HOUR, START + 2 * HOUR)


@pytest.fixture
def data(tmp_path):
    """A shop of four items, and an hour of feedback before the cut and one after it."""
    items = pl.DataFrame([(i, f"Item {i}", "", "", []) for i in "abcd"], schema=ITEM_SCHEMA, orient="row")
    events = pl.DataFrame({"user_id": ["ada", "ada"], "item_id": ["a", "b"], "timestamp": [START - 9, START - 8]})
    Catalog(events, items, CatalogFacts(dataset="shop", source="made up", exclude_seen=True)).save(tmp_path / "shop")
    write(tmp_path / "evidence", 0, [("e1", "ada", "c", START + 5)])
    write(tmp_path / "evidence", 1, [("e2", "ada", "d", START + HOUR + 5), ("e3", "ben", "a", START + HOUR + 6)])
    (tmp_path / "new.csv").write_text("item_id,title\nnew,A new thing\n")
    return FreshData(str(tmp_path / "shop"), str(tmp_path / "evidence"), "", CUT)


def write(folder, hour, rows, name="part-1-1.parquet"):
    target = folder / "feedback" / "date=2024-10-04" / f"hour={hour:02}"
    target.mkdir(parents=True, exist_ok=True)
    full = [(event, user, item, *(kind or ["click"]), at, None, at) for event, user, item, at, *kind in rows]
    pl.DataFrame(full, schema=FEEDBACK_SCHEMA, orient="row").write_parquet(target / name)


def run(data, tmp_path, seed=0):
    return refresh.run(data, open_run("laptop", [], seed, str(tmp_path / "workspace")))


def test_two_artifacts_of_one_reading(data, tmp_path):
    catalog, hold_out = run(data, tmp_path)
    assert Catalog.load(catalog).sequences() == {"ada": ["a", "b", "c"]}
    assert HeldOut.load(hold_out).cases.rows() == [
        ("ada", ["a", "b", "c"], "d", START + HOUR + 5),
        ("ben", [], "a", START + HOUR + 6),
    ]


@pytest.mark.usefixtures("clock")
def test_named_by_content_wherever_it_lies_and_whatever_comes_later(data, tmp_path, capsys):
    first = run(data, tmp_path)
    for name in ("shop", "evidence"):
        shutil.copytree(tmp_path / name, tmp_path / "moved" / name)
    write(tmp_path / "moved" / "evidence", 2, [("e9", "ada", "a", START + 2 * HOUR)])
    moved = FreshData(str(tmp_path / "moved/shop"), str(tmp_path / "moved/evidence"), "", CUT)
    assert run(moved, tmp_path, seed=1) == first
    assert capsys.readouterr().err.splitlines() == [
        "[refresh] started",
        "[refresh] done in 7 s",
        "[refresh] hold-out: started",
        "[refresh] hold-out: done in 7 s",
        "[refresh] done already, reused",
        "[refresh] hold-out: done already, reused",
    ]


def test_what_arrives_between_the_two_outputs_is_in_neither(data, tmp_path, monkeypatch):
    save = Catalog.save

    def save_slowly(catalog, path):
        save(catalog, path)
        write(tmp_path / "evidence", 1, [("e4", "cleo", "b", START + HOUR + 7)], "part-2-1.parquet")

    monkeypatch.setattr(Catalog, "save", save_slowly)
    _, hold_out = run(data, tmp_path)
    assert HeldOut.load(hold_out).cases["user_id"].to_list() == ["ada", "ben"]


def test_evidence_that_changes_while_it_is_read_makes_nothing(data, tmp_path, monkeypatch):
    write(tmp_path / "evidence", 0, [("e4", "ben", "b", START + 7)], "part-2-1.parquet")
    (late,) = (tmp_path / "evidence").rglob("part-2-1.parquet")

    def read_without_it(folder, window):
        late.rename(tmp_path / "away")
        return read_feedback(folder, window)

    with monkeypatch.context() as patch:
        patch.setattr(refresh, "read_feedback", read_without_it)
        with pytest.raises(DataError, match=r"evidence changed while it was read; start again\.$"):
            run(data, tmp_path)
    (tmp_path / "away").rename(late)
    catalog, _ = run(data, tmp_path)
    assert Catalog.load(catalog).sequences() == {"ada": ["a", "b", "c"], "ben": ["b"]}


def test_what_arrives_after_the_end_may_come_while_it_is_read(data, tmp_path, monkeypatch):
    within_an_hour = replace(data, cut=replace(CUT, until=CUT.until - 600))

    def read_as_a_part_comes(folder, window):
        write(tmp_path / "evidence", 1, [("e5", "cleo", "c", window.end + 5)], "part-9-1.parquet")
        return read_feedback(folder, window)

    monkeypatch.setattr(refresh, "read_feedback", read_as_a_part_comes)
    _, hold_out = run(within_an_hour, tmp_path)
    assert HeldOut.load(hold_out).cases["user_id"].to_list() == ["ada", "ben"]
    assert list((tmp_path / "evidence").rglob("part-9-1.parquet"))


def test_what_is_too_old_for_another_run_stays_while_this_one_reads_it(data, tmp_path, monkeypatch):
    def pull(_uri, window, folder):
        """As from a store: the hour before the cut goes where it is older than the window."""
        shutil.copytree(tmp_path / "evidence", folder, dirs_exist_ok=True)
        if window.start >= START + HOUR:
            shutil.rmtree(folder / "feedback" / "date=2024-10-04" / "hour=00")

    shop = Catalog.load(tmp_path / "shop")
    replace(shop, interactions=shop.interactions.with_columns(pl.col("timestamp") + HOUR + 9)).save(tmp_path / "newer")
    stored = replace(data, evidence="s3://shop/evidence")

    def other_run():
        with suppress(DataError):  # There is nothing before its cut.
            run(replace(stored, catalog=str(tmp_path / "newer")), tmp_path)

    other = Thread(target=other_run)

    def read_beside_the_other(folder, window):
        if other.ident is None:
            other.start()
            other.join(timeout=0.5)
        return read_feedback(folder, window)

    monkeypatch.setattr("gream.monitoring.feedback_store.pull_feedback", pull)
    monkeypatch.setattr(refresh, "read_feedback", read_beside_the_other)
    catalog, _ = run(stored, tmp_path)
    other.join()
    assert Catalog.load(catalog).sequences() == {"ada": ["a", "b", "c"]}


LATER = [("e7", "ada", "a", START + 2 * HOUR), ("e8", "ada", "b", START + 3 * HOUR - 1)]


@pytest.mark.parametrize("later", [[], LATER])
def test_a_window_that_ends_too_early_tells_of_what_came_later(data, tmp_path, later):
    shutil.rmtree(tmp_path / "evidence" / "feedback")
    write(tmp_path / "evidence", 2, [*later, ("e9", "ada", "c", START + 2 * HOUR, "impression")])
    remedy = "those of known items count with a later --until (default: the last full hour)."
    told = f" Clicks and purchases that have arrived since: 2; {remedy}"
    with pytest.raises(DataError) as refused:
        run(data, tmp_path)
    text = str(refused.value)
    assert "after 2024-10-03 23:59 UTC, the catalog's last event, and before until = 2024-10-04 02:00 UTC. " in text
    assert text.endswith(f"by, this window.{told if later else ''}")


def test_a_part_that_comes_late_makes_another_output(data, tmp_path):
    first, _ = run(data, tmp_path)
    write(tmp_path / "evidence", 0, [("e4", "ben", "b", START + 7)], "part-2-1.parquet")
    late, _ = run(data, tmp_path)
    assert late != first
    assert Catalog.load(late).sequences()["ben"] == ["b"]


def test_damaged_files_are_counted_and_the_rest_is_used(data, tmp_path):
    first, _ = run(data, tmp_path)
    (tmp_path / "evidence/feedback/date=2024-10-04/hour=00/part-9-9.parquet").write_bytes(b"nothing of the kind")
    damaged, _ = run(data, tmp_path)
    assert damaged != first
    assert content_digest(damaged) == content_digest(first)
    assert Catalog.load(damaged).facts.skipped == {"held_out": 2, "unreadable_feedback_files": 1}


def test_new_items_come_from_a_table(data, tmp_path):
    write(tmp_path / "evidence", 0, [("e5", "ben", "new", START + 9)], "part-2-1.parquet")
    without, _ = run(data, tmp_path)
    assert Catalog.load(without).facts.skipped["unknown_item"] == 1
    told = FreshData(data.catalog, data.evidence, str(tmp_path / "new.csv"), CUT)
    catalog = Catalog.load(run(told, tmp_path)[0])
    assert catalog.sequences()["ben"] == ["new"]
    assert catalog.items.row(-1) == ("new", "A new thing", "", "", [])


def test_places_that_hold_something_else_are_named(data, tmp_path):
    with pytest.raises(DataError, match="is not a saved catalog"):
        run(FreshData(str(tmp_path), data.evidence, "", CUT), tmp_path)
    with pytest.raises(DataError, match=r"no is not a folder of evidence, such as `gream serve` writes\.$"):
        run(FreshData(data.catalog, str(tmp_path / "no"), "", CUT), tmp_path)
