"""SFT beside TRL: both trainers and the judge call the loss of one batch the same, or there is no ratio."""

import pytest

from benchmarks import sft, sft_task
from benchmarks.ratio import NoComparisonError
from gream.data.importers import import_catalog

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def small_shop(monkeypatch, tmp_path):
    """Twelve users who walk along a ring of twenty items, in place of MovieLens."""
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title", *(f"i{n},Lamp No. {n}" for n in range(20))]))
    events = [f"u{user},i{(user + step) % 20},{1_000 + step}" for user in range(12) for step in range(8)]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]))
    monkeypatch.setattr(sft_task, "import_catalog", lambda name, k_core: import_catalog(str(tmp_path), k_core=0))


def test_eight_samples_have_one_loss():
    loss, furthest = sft.loss_of_one_batch(sft.movielens())
    assert loss > 1.0
    assert furthest < sft.LOSS_TOLERANCE


def test_a_judge_that_calls_it_otherwise_ends_the_benchmark_before_it_trains(monkeypatch):
    monkeypatch.setattr(sft, "validation_loss", lambda model, examples: 2.5)
    monkeypatch.setattr(sft, "measure", lambda *_: pytest.fail("it trained"))
    with pytest.raises(NoComparisonError, match=r"the same samples have a loss of .* for the peer, of .*2\.5\) for us"):
        sft.ratios()
