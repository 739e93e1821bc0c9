"""The record: append-only lines that are read back whole, or not at all."""

import pytest
from click.testing import CliRunner
from monitoring_reports import DAY, START, report

from gream.cli import main
from gream.documents import FileDocument
from gream.errors import ArtifactError, StoreError
from gream.monitoring.decision import DecisionSettings, running
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import NO_END, Freeze, Outcome

pytestmark = pytest.mark.unit

NOW = START + DAY
SETTINGS = DecisionSettings()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "monitoring" / "decisions.jsonl"


@pytest.fixture
def log(place):
    return DecisionLog(str(place))


def test_a_decision_is_recorded_with_its_evidence(log, place):
    decision = log.decide(report(alarms=["hit_rate"]), NOW, SETTINGS)
    assert decision.action == "retrain"
    assert log.entries() == [decision]
    assert place.read_text().count("\n") == 1
    assert '"name":"hit_rate","group":"quality","statistic":0.5' in place.read_text()


def test_deciding_again_after_a_kill_gives_the_same_decision(log, place):
    first = log.decide(report(alarms=["hit_rate"]), NOW, SETTINGS)
    before = place.read_bytes()
    assert DecisionLog(str(place)).decide(report(), NOW + 99, SETTINGS) == first
    assert place.read_bytes() == before


def test_lines_are_only_appended(log, place):
    log.decide(report(), NOW, SETTINGS)
    before = place.read_text()
    log.append(Freeze(at=NOW, by="ada", reason="Zeile\u2028und\x85Umbruch\n!"), Freeze(at=NOW, by="ada", reason="2"))
    assert place.read_text().startswith(before)
    assert [entry.kind for entry in log.entries()] == ["decision", "freeze", "freeze"]


def test_a_record_that_somebody_damaged_is_not_decided_on(log, place):
    log.decide(report(), NOW, SETTINGS)
    whole = place.read_text()
    for damaged, problem in (
        (whole[:-40], "does not end with a whole line"),
        (whole[:-40] + "\n", "line 1, is no entry"),
        (whole + "{}\n", "line 2, is no entry"),
    ):
        place.write_text(damaged)
        with pytest.raises(ArtifactError, match=problem):
            log.decide(report(1), NOW, SETTINGS)
        with pytest.raises(ArtifactError, match=problem):
            log.append(Freeze(at=NOW, by="ada", reason="Stop."))
        assert place.read_text() == damaged
    place.write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="is damaged: it is no text"):
        log.entries()


def test_a_document_is_replaced_only_by_who_has_read_it(tmp_path):
    document = FileDocument(tmp_path / "deep" / "file")
    assert document.read().tag is None
    assert document.replace("one", None)
    assert not document.replace("two", None)
    tag = document.read().tag
    assert document.replace("three", tag)
    assert not document.replace("four", tag)
    assert document.read().text == "three"


@pytest.fixture
def run(place):
    def run(*arguments):
        return CliRunner().invoke(main, ["decisions", arguments[0], str(place), *arguments[1:]])

    return run


def test_people_read_and_steer_at_the_command_line(run, log, place):
    log.decide(report(), NOW, SETTINGS)
    assert run("freeze", "A sale is on.", "--hours", "2").output == f"Frozen, in {place}.\n"
    order = log.entries()[-1]
    assert order.until == order.at + 7_200
    assert run("thaw").output == f"Thawed, in {place}.\n"
    assert run("override", "retrain", "New prices.").output == f"Ordered: retrain, in {place}.\n"
    assert log.entries()[-1].until == NO_END
    run("override", "nothing", "The outage is known.", "--hours", "24")
    assert log.entries()[-1].until == log.entries()[-1].at + DAY
    shown = run("show").output
    for words in ("frozen by", "A sale is on.", "thawed by", "orders retrain: New prices.", "orders nothing until"):
        assert words in shown
    assert len(run("show", "--last", "1").output.splitlines()) == 1


@pytest.mark.parametrize("command", [["show"], ["thaw"], ["outcome", "failed", "Killed."]])
def test_a_mistyped_record_is_not_taken_for_an_empty_one(run, place, command):
    told = run(*command)
    assert (told.exit_code, told.output) == (1, f"Error: there is no record of decisions at {place}.\n")
    assert not place.parent.exists()


@pytest.mark.parametrize(
    ("order", "done"), [(["freeze", "Stop."], "Frozen"), (["override", "retrain", "Go."], "Ordered: retrain")]
)
def test_an_order_may_be_the_first_entry_and_says_so(run, log, place, order, done):
    assert run(*order).output == f"{place} did not exist: a new record.\n{done}, in {place}.\n"
    assert len(log.entries()) == 1


def test_a_lost_run_is_closed_at_the_command_line(run, log):
    log.decide(report(-1), NOW - DAY, SETTINGS)
    assert "no run is under way" in run("outcome", "failed", "Killed.").output
    decision = log.decide(report(alarms=["hit_rate"]), NOW, SETTINGS)
    assert run("outcome", "failed", "Killed.").output == f"{decision.id}: failed.\n"
    (*_, ended) = log.entries()
    assert isinstance(ended, Outcome)
    assert running(log.entries()) is None
    shown = run("show").output
    assert "retrain, champion champion, window 2024-10-04 00:00 UTC to 2024-10-05 00:00 UTC" in shown
    assert "    hit_rate alarms: 0.500, above 0.200, over 300 users." in shown
    assert f"run {decision.id}: failed. Killed." in shown


def test_a_run_that_has_ended_a_moment_before_keeps_its_outcome(run, log, monkeypatch):
    decision = log.decide(report(alarms=["hit_rate"]), NOW, SETTINGS)

    def still_running(_):
        log.append(Outcome(decision=decision.id, at=NOW, result="promoted", text="B was made the champion."))
        return decision

    monkeypatch.setattr("gream.monitoring.decision.running", still_running)
    told = run("outcome", "failed", "Killed.")
    assert told.exit_code == 1
    assert told.output == f"Error: {decision.id} had ended a moment before, promoted: B was made the champion.\n"
    assert [entry.kind for entry in log.entries()] == ["decision", "outcome"]
