"""The champion of a folder: promoted on a verdict, rolled back, never half moved."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from gream.artifacts import content_digest
from gream.cli import main
from gream.errors import ArtifactError, StoreError
from gream.promotion.champion import Champion, PromotionError, install, open_champion, predecessor, promote, roll_back
from gream.promotion.verdict import Check, Verdict

pytestmark = pytest.mark.unit


def verdict_of(champion, challenger, accepted=True):
    state = "passed" if accepted else "failed"
    return Verdict(
        accepted=accepted,
        champion=content_digest(champion),
        challenger=content_digest(challenger),
        at=datetime.now(UTC),
        metric="ndcg@10",
        hold_out_start=0,
        hold_out_users=100,
        confidence=0.95,
        checks=(Check(name="all users", state=state, text="All users: looked at."),),
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "champion"


@pytest.fixture
def place(folder):
    return open_champion(str(folder))


def served(folder):
    """What serving reads."""
    return (folder / "current" / "policy" / "weights").read_text()


def test_first_next_and_back(place, folder, bundle):
    assert place.read() is None
    first = install(place, bundle("A"))
    assert (first.number, first.digest, served(folder)) == (1, content_digest(bundle("A")), "A")
    second = promote(place, bundle("B"), verdict_of(bundle("A"), bundle("B")))
    assert (second.number, served(folder), place.read()) == (2, "B", second)
    third = roll_back(place)
    assert (third.number, third.digest, served(folder)) == (3, first.digest, "A")
    assert list(place.history()) == [third, second, first]
    with pytest.raises(PromotionError, match="no earlier champion"):
        roll_back(place)
    assert served(folder) == "A"


def test_the_version_is_what_answers_call_it(place, bundle):
    champion = install(place, bundle("A"))
    assert champion.version == champion.digest[:12]
    assert champion.age_seconds(champion.since + timedelta(hours=2)) == 7_200


def test_a_first_champion_is_installed_once(place, bundle):
    install(place, bundle("A"))
    with pytest.raises(PromotionError, match="is the champion here: another policy needs a verdict"):
        install(place, bundle("B"))
    with pytest.raises(PromotionError, match="is the champion here already: there is nothing to move"):
        install(place, bundle("A"))


def test_what_the_gate_refused_is_not_promoted(place, folder, bundle):
    install(place, bundle("A"))
    with pytest.raises(PromotionError, match=r"the gate refused this challenger: All users: looked at\."):
        promote(place, bundle("B"), verdict_of(bundle("A"), bundle("B"), accepted=False))
    assert served(folder) == "A"


def test_a_verdict_is_for_one_challenger_and_one_champion(place, folder, bundle):
    verdict = verdict_of(bundle("A"), bundle("B"))
    with pytest.raises(PromotionError, match="but nobody is the champion now: compare again"):
        promote(place, bundle("B"), verdict)
    install(place, bundle("A"))
    with pytest.raises(PromotionError, match="the verdict is about challenger"):
        promote(place, bundle("C"), verdict)
    promote(place, bundle("C"), verdict_of(bundle("A"), bundle("C")))
    with pytest.raises(PromotionError, match=f"but {place.read().version} is the champion now"):
        promote(place, bundle("B"), verdict)
    assert served(folder) == "C"


def test_who_has_read_something_older_does_not_move_it(place, folder, bundle):
    first = install(place, bundle("A"))
    digest = place.keep(bundle("B"))
    for stale in (None, first.model_copy(update={"number": 7})):
        with pytest.raises(PromotionError, match=rf"it is {first.version} \(move 1\)"):
            place.move(digest, expected=stale)
    assert served(folder) == "A"


def test_only_sound_bundles_are_kept_and_named(place, folder, bundle):
    with pytest.raises(StoreError, match="has no complete version"):
        place.move("f" * 64, expected=None)
    damaged = bundle("A")
    (damaged / "weights").write_text("changed")
    with pytest.raises(ArtifactError, match="missing or damaged"):
        install(place, damaged)
    assert place.read() is None


def test_a_version_that_was_damaged_is_kept_again(place, folder, bundle):
    digest = place.keep(bundle("A"))
    kept = folder / "versions" / digest / "weights"
    kept.unlink()
    place.keep(bundle("A"))
    assert kept.read_text() == "A"


def test_what_a_killed_promoter_left_behind_is_no_champion(place, folder, bundle):
    install(place, bundle("A"))
    left = folder / "moves" / "000002"
    shutil.copytree(folder / "moves" / "000001", left, symlinks=True)
    (left / "champion.json").write_text("half a rec")
    (folder / ".current.partial").symlink_to("moves/000002")
    (folder / "versions" / ".half.partial-x").mkdir()
    assert (place.read().number, served(folder)) == (1, "A")
    second = promote(place, bundle("B"), verdict_of(bundle("A"), bundle("B")))
    assert (second.number, served(folder)) == (2, "B")
    assert [state.number for state in place.history()] == [2, 1]


def test_a_foreign_record_is_an_error(place, folder, bundle):
    install(place, bundle("A"))
    (folder / "current" / "champion.json").write_text("{}")
    with pytest.raises(StoreError, match=r"champion\.json is not the record of a champion"):
        place.read()


@pytest.mark.parametrize(
    ("moves", "back_to"),
    [
        ("", None),
        ("A", None),
        ("AB", "A"),
        ("ABA", None),
        ("ABC", "B"),
        ("ABCB", "A"),
        ("ABAB", "A"),
        ("ABCBA", None),
        ("ABCBD", "B"),
    ],
)
def test_what_a_rollback_goes_back_to(moves, back_to):
    digests = {name: name.lower() * 64 for name in "ABCD"}
    states = [
        Champion(digest=digests[name], since=datetime.now(UTC), number=number)
        for number, name in enumerate(moves, start=1)
    ]
    found = predecessor(reversed(states))
    assert (found and found.digest) == (back_to and digests[back_to])


def test_at_the_command_line(folder, bundle, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, ["champion", *map(str, arguments)])

    assert "there is no champion at" in run("show", folder).output
    first, second = content_digest(bundle("A")), content_digest(bundle("B"))
    assert run("promote", folder, bundle("A")).output == f"{first} is the champion (move 1).\n"
    refused = run("promote", folder, bundle("B"))
    assert (refused.exit_code, served(folder)) == (1, "A")
    assert "another policy needs a verdict of the gate" in refused.output
    verdict_of(bundle("A"), bundle("B")).save(tmp_path / "verdict.json")
    assert run("promote", folder, bundle("B"), "--verdict", tmp_path / "verdict.json").exit_code == 0
    shown = run("show", folder).output.splitlines()
    assert [line.split()[0] for line in shown] == ["2", "1"]
    assert shown[0].endswith(second)
    assert shown[1].endswith(f"{first}  rollback goes here")
    assert run("rollback", folder).output == f"{first} is the champion again (move 3).\n"
    assert run("rollback", folder).output == "Error: there is no earlier champion to go back to.\n"
