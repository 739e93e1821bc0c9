"""Variants of an experiment: read, measured, and compared by user and seed, with hand-worked numbers."""

import numpy as np
import pytest

from gream.errors import ConfigError
from gream.evaluation.experiment import compare
from gream.evaluation.experiment_page import comparison_table, render_comparison
from gream.evaluation.trials import Trial, TrialFacts, training_signs
from gream.evaluation.user_values import UserValues
from gream.evaluation.variants import Variant, parse_variant, parse_variants

pytestmark = pytest.mark.unit

USERS = ["ann", "bob", "cy", "dee"]
NOBODY = [np.nan] * 4


def trial(variant, seed, direct, passed=None, users=USERS, **training):
    systems = {"direct": {"recall@10": np.array(direct, dtype=float)}}
    if passed is not None:
        systems["reasoning"] = {"pass@1": np.array(passed, dtype=float)}
    facts = TrialFacts(
        variant=variant,
        overrides=(f"srpo.beta={seed}",),
        seed=seed,
        collision_rate=0.02 * (seed + 1),
        training=training,
    )
    return Trial(facts, UserValues(users, systems))


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("as is:", Variant("as is", ())),
        ("beta 0.3 : srpo.beta=0.3", Variant("beta 0.3", ("srpo.beta=0.3",))),
        ("a: data.k_core=0 index.encoder='my model'", Variant("a", ("data.k_core=0", "index.encoder=my model"))),
        ("s3: data.x=s3://b/p", Variant("s3", ("data.x=s3://b/p",))),
    ],
)
def test_a_variant_is_read(text, variant):
    assert parse_variant(text) == variant


@pytest.mark.parametrize("text", ["as is", ": srpo.beta=1", "a: srpo.beta 1", "a: x='1", ""])
def test_what_is_no_variant_is_refused(text):
    with pytest.raises(ConfigError, match="is not allowed"):
        parse_variant(text)


@pytest.mark.parametrize(
    ("texts", "seeds", "message"),
    [
        (["a:"], [0], "two variants or more"),
        (["a:", "a: x.y=1"], [0], "of different names"),
        (["a:", "b:"], [], "one seed or more"),
        (["a:", "b:"], [1, 1], "all different"),
    ],
)
def test_an_experiment_needs_something_to_compare(texts, seeds, message):
    with pytest.raises(ConfigError, match=message):
        parse_variants(texts, seeds)


def test_means_are_over_users_and_seeds_and_differences_are_paired():
    comparison = compare(
        [
            trial("as is", 0, [1, 0, 0, 0]),
            trial("as is", 1, [1, 1, 0, 0]),
            trial("new", 0, [1, 1, 1, 0]),
            trial("new", 1, [1, 0, 1, 0]),
        ],
        resamples=200,
    )
    first, second = comparison.variants
    assert (comparison.seeds, comparison.users) == ((0, 1), 4)
    assert first.values["direct recall@10"].value == pytest.approx((1 + 0.5) / 4)
    assert first.of_seeds["direct recall@10"] == (0.25, 0.5)
    assert first.differences == {}
    # By user, over the seeds: 0, (1 - 1) / 2, 1 and 0.
    change = second.differences["direct recall@10"]
    assert change.value == pytest.approx(0.25)
    assert 0.0 <= change.low < 0.25 < change.high <= 1.0
    assert second.collision_rate == pytest.approx(0.03)
    assert "reasoning recall@10" not in second.values


def test_users_who_were_not_measured_do_not_count():
    """Ann and bob are asked for chains under seed 0, bob and cy under seed 1, and dee never."""
    comparison = compare(
        [
            trial("as is", 0, [0] * 4, [0.0, 0.2, np.nan, np.nan]),
            trial("as is", 1, [0] * 4, [np.nan, 0.4, 0.6, np.nan]),
            trial("new", 0, [0] * 4, [0.5, 0.2, np.nan, np.nan]),
            trial("new", 1, [0] * 4, [np.nan, 0.8, 0.6, np.nan]),
        ],
        resamples=50,
    )
    first, second = comparison.variants
    assert first.values["pass@1"].value == pytest.approx((0.0 + 0.3 + 0.6) / 3)
    assert first.of_seeds["pass@1"] == pytest.approx((0.1, 0.5))
    assert second.differences["pass@1"].value == pytest.approx((0.5 + 0.2 + 0.0) / 3)
    assert first.users == second.users == {"direct recall@10": 4, "pass@1": 3}
    assert "\n  direct recall@10\n" in comparison_table(comparison)
    assert "\n  pass@1 (3 users)\n" in comparison_table(comparison)
    assert render_comparison(comparison).count("pass@1 (3 users)") == 2  # Over the column and over the plot.


def test_variants_that_reason_on_other_numbers_of_users_say_so():
    some = trial("some", 0, [0] * 4, [0.5, 0.2, np.nan, np.nan])
    table = comparison_table(compare([some, trial("all", 0, [0] * 4, [0.5, 0.2, 0.0, 0.0])], resamples=10))
    assert "\n  pass@1 (2 or 4 users)\n" in table


def test_what_nobody_was_measured_by_is_left_out():
    comparison = compare([trial("a", 0, [1, 0, 0, 0], NOBODY), trial("b", 0, [1, 0, 0, 0], NOBODY)], resamples=10)
    assert set(comparison.variants[1].values) == set(comparison.variants[1].differences) == {"direct recall@10"}


def test_seeds_are_paired_in_whatever_order_they_come():
    ones, zeros = [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]
    trials = [trial("a", 0, zeros), trial("a", 1, ones), trial("b", 1, ones), trial("b", 0, zeros)]
    second = compare(trials, resamples=50, seed=0).variants[1]
    assert second.of_seeds["direct recall@10"] == (0.0, 1.0)
    difference = second.differences["direct recall@10"]
    assert (difference.low, difference.value, difference.high) == (0.0, 0.0, 0.0)


def test_other_users_or_seeds_are_not_compared():
    one = trial("a", 0, [0] * 4)
    with pytest.raises(ConfigError, match=r"variant 'b' has the seeds \[1\]; others have \[0\]"):
        compare([one, trial("b", 1, [0] * 4)], resamples=10)
    with pytest.raises(ConfigError, match="variant 'b' was measured on other users"):
        compare([one, trial("b", 0, [0] * 4, users=["ann", "bob", "cy", "eve"])], resamples=10)


def test_signs_of_a_training():
    """Eight steps of two updates: what a step's rollouts show stands in its first entry."""
    log = []
    for step in range(8):
        log += [{"rho": step / 10, "reward_variance": 0.1, "zero_variance_share": step % 2, "kl": 0.1}, {"kl": step}]
    signs = training_signs(log)
    assert signs["rho"] == pytest.approx((0.6 + 0.7) / 2)
    assert signs["rho_gain"] == pytest.approx(0.65 - 0.05)
    assert (signs["reward_variance"], signs["zero_variance_share"]) == (pytest.approx(0.1), 0.5)
    assert signs["kl"] == pytest.approx((0.1 + 6 + 0.1 + 7) / 4)  # The last quarter of sixteen updates.
    assert "entropy" not in signs
    assert training_signs([]) == {}


def test_a_trial_is_kept(tmp_path):
    kept = trial("as is", 3, [1, 0, 0, 1], [0.5, 0.25, np.nan, 0.0], rho=0.25)
    kept.save(tmp_path / "trial")
    again = Trial.load(tmp_path / "trial")
    assert again.facts == kept.facts
    assert again.values.users == USERS
    assert np.array_equal(again.values.systems["reasoning"]["pass@1"], [0.5, 0.25, np.nan, 0.0], equal_nan=True)


@pytest.fixture
def comparison():
    return compare(
        [
            trial("as is", 0, [1, 0, 0, 0], rho=0.25, entropy=1.5),
            trial("<b>bold</b>", 0, [1, 1, 0, 0]),
        ],
        resamples=50,
    )


def test_the_table_says_what_is_compared(comparison):
    table = comparison_table(comparison)
    assert table.startswith("4 test users, seeds 0; differences of <b>bold</b> from as is, paired by user and seed")
    assert "    as is        0.2500\n    <b>bold</b>  0.5000  +0.2500 [" in table
    assert table.splitlines()[-2:] == ["  SRPO", "    as is        rho 0.2500, entropy 1.5000"]
    assert max(map(len, table.splitlines())) <= 120


def test_the_page_stands_alone_and_takes_no_text_for_markup(comparison):
    page = render_comparison(comparison)
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert page.count("<svg") == 1
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "group success rho, late" in page
