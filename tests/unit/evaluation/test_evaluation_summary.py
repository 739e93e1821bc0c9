import pytest

from gream.evaluation.metrics import Interval
from gream.evaluation.results import EvaluationProtocol, IndexSummary, Signs
from gream.evaluation.summary import WIDTH, summary_table
from gream.evaluation.verdicts import failure_signs, standing

pytestmark = pytest.mark.unit


def find(verdicts, beginning):
    (verdict,) = [verdict for verdict in verdicts if verdict.text.startswith(beginning)]
    return verdict


def test_twice_popularity_with_separated_intervals_is_the_mark(make_metrics):
    reached = find(standing(make_metrics(direct=120, popularity=30)), "Direct Recall@10 is 30.0%")
    assert reached.tone == "good"
    assert "4.0 times popularity's 7.5%; the intervals are separated" in reached.text
    missed = find(standing(make_metrics(direct=120, popularity=70)), "Direct Recall@10 is 30.0%")
    assert missed.tone == "bad"
    assert "missed" in missed.text
    assert "1.7 times" in missed.text


@pytest.mark.parametrize(("direct", "tone"), [(117, "bad"), (120, "good")])
def test_a_little_less_than_twice_popularity_misses_the_mark(make_metrics, direct, tone):
    """1.95 and 2 times, both with separated intervals."""
    verdict = find(standing(make_metrics(direct=direct, popularity=60)), "Direct Recall@10")
    assert "separated" in verdict.text
    assert verdict.tone == tone


def test_twice_is_not_enough_where_intervals_overlap(make_metrics):
    verdict = find(standing(make_metrics(direct=6, popularity=3)), "Direct Recall@10 is 1.5%")
    assert verdict.tone == "bad"
    assert "2.0 times popularity's 0.8%; the intervals overlap" in verdict.text


def test_a_policy_beside_a_popularity_that_never_hits(make_metrics):
    verdict = find(standing(make_metrics(popularity=0)), "Direct Recall@10 is 30.0%")
    assert verdict.tone == "good"


@pytest.mark.parametrize(
    ("hits", "tone", "words"),
    [
        (80, "good", "direct is ahead of item transitions by +10.0 points"),
        (160, "bad", "direct is behind item transitions, -10.0 points"),
        (119, "neutral", "do not differ clearly, +0.2 points"),
    ],
)
def test_differences_are_called_by_their_interval(make_metrics, hits, tone, words):
    verdict = find(standing(make_metrics(direct=120, transitions=hits)), "Direct and item transitions")
    assert verdict.tone == tone
    assert words in verdict.text


def test_what_srpo_changed_is_said_for_both_modes(make_metrics):
    verdicts = standing(make_metrics())
    assert find(verdicts, "SRPO's effect on direct Recall@10").tone == "neutral"
    assert "+5.0 points" in find(verdicts, "SRPO's effect on reasoning Pass@10").text
    worse = standing(make_metrics(reasoning=40, sft_reasoning=80))
    assert find(worse, "SRPO's effect on reasoning").tone == "bad"


def test_a_healthy_run_shows_no_failure_sign(make_metrics):
    assert {verdict.tone for verdict in failure_signs(make_metrics(reasoning=160))} == {"good"}


@pytest.mark.parametrize(
    ("changes", "beginning"),
    [
        ({"legal_item_share": 0.9999}, "Legal items: 99.990%"),
        ({"index": IndexSummary(collision_rate=0.05)}, "Collisions: 5.0%"),
        ({"signs": Signs(chains_off_history=0.4)}, "Chains and history: 40.0%"),
        ({"signs": Signs(aided_chains=0.75)}, "Grounding: 75.0% of the chains would have left the history"),
        ({"signs": Signs(unfinished_chains=0.4)}, "Unfinished chains: 40.0%"),
        ({"signs": Signs(zero_variance_groups=0.6)}, "Zero-variance groups: 60.0%"),
        ({"reasoning": 40}, "Reasoning beside direct on the same users: Recall@10 10.0% against 30.0%, -20.0 points"),
    ],
)
def test_each_failure_sign_is_flagged(make_metrics, changes, beginning):
    verdicts = failure_signs(make_metrics(**{"reasoning": 160} | changes))
    assert find(verdicts, beginning).tone == "bad"
    assert [verdict.tone for verdict in verdicts].count("bad") == 1


@pytest.mark.parametrize(
    ("sign", "limit", "beginning"),
    [
        ("chains_off_history", 0.1, "Chains and history"),
        ("aided_chains", 0.5, "Grounding"),
        ("unfinished_chains", 0.1, "Unfinished chains"),
        ("zero_variance_groups", 0.5, "Zero-variance groups"),
    ],
)
def test_a_failure_sign_begins_at_its_limit(make_metrics, sign, limit, beginning):
    for share, tone in [(limit - 0.01, "good"), (limit, "bad")]:
        assert find(failure_signs(make_metrics(signs=Signs(**{sign: share}))), beginning).tone == tone


def test_what_was_not_measured_is_not_judged(make_metrics):
    texts = " ".join(verdict.text for verdict in failure_signs(make_metrics(signs=Signs())))
    assert "Chains and history" not in texts
    assert "Zero-variance" not in texts


def test_reasoning_stands_beside_direct_on_the_users_that_it_was_measured_on(make_metrics):
    """Direct mode is at 30 % of all users and at 11 % of those who reasoned."""
    metrics = make_metrics(reasoning=40)
    same = {"reasoning_vs_direct": {"recall@10": Interval(value=-0.01, low=-0.02, high=-0.005)}}
    comparisons = metrics.comparisons | same
    (*_, verdict) = failure_signs(metrics.model_copy(update={"comparisons": comparisons}))
    assert "Recall@10 10.0% against 11.0%, -1.0 points (95% interval -2.0 to -0.5)" in verdict.text


@pytest.mark.parametrize(("hits", "tone"), [(130, "good"), (119, "neutral"), (121, "neutral"), (110, "bad")])
def test_reasoning_is_marked_as_every_other_comparison_is(make_metrics, hits, tone):
    """Of 400 users direct mode serves 120: 10 fewer or more are a difference, one is none."""
    verdict = find(failure_signs(make_metrics(direct=120, reasoning=hits)), "Reasoning beside direct")
    assert verdict.tone == tone


def test_the_table_holds_every_system_and_the_protocol(make_metrics):
    metrics = make_metrics()
    table = summary_table(metrics)
    assert table.startswith("films, profile laptop, seed 7\nLeave-last-one-out, 400 test users, all 1,234 items ranked")
    assert "taken out of the ranking" in table
    low, high = metrics.direct["recall@10"].low, metrics.direct["recall@10"].high
    (direct,) = [line for line in table.splitlines() if line.startswith("  direct  ")]
    assert direct.count(f"0.3000 [{low:.4f}, {high:.4f}]") == 4
    for system in ("direct, SFT only", "reasoning, one chain", "popularity", "item-kNN", "item transitions", "SASRec"):
        assert any(line.startswith(f"  {system} ") for line in table.splitlines())
    assert max(map(len, table.splitlines())) <= WIDTH
    assert "Pass@10" in table


def test_the_table_says_on_how_many_users_reasoning_was_measured(make_metrics):
    metrics = make_metrics()

    def table(reasoned):
        protocol = metrics.protocol.model_copy(update={"reasoning_users": reasoned})
        return " ".join(summary_table(metrics.model_copy(update={"protocol": protocol})).split())

    assert "95% intervals over users. Rows of reasoning: 50 of them. " in table(50)
    assert "Rows of reasoning" not in table(400)
    assert "Rows of reasoning" not in table(None)


def test_the_other_protocol_and_a_missing_baseline(make_metrics):
    metrics = make_metrics()
    protocol = EvaluationProtocol(exclude_seen=False, users=400, items=12, beams=5, chains=10, resamples=100)
    without = {name: values for name, values in metrics.baselines.items() if name != "sasrec"}
    compared = {name: values for name, values in metrics.comparisons.items() if name != "direct_vs_sasrec"}
    table = summary_table(
        metrics.model_copy(update={"protocol": protocol, "baselines": without, "comparisons": compared})
    )
    assert "kept in the ranking" in table
    assert "SASRec" not in table


def test_a_policy_without_reinforcement_does_not_stand_beside_itself(make_metrics):
    metrics = make_metrics()
    compared = {name: found for name, found in metrics.comparisons.items() if not name.endswith("_vs_sft")}
    alone = metrics.model_copy(update={"comparisons": compared})
    assert "SRPO's effect" not in summary_table(alone)
    assert "SFT only" not in summary_table(alone)
    assert summary_table(metrics).count("SFT only") == 2


def test_a_prior_shows_what_the_policy_is_without_it(make_metrics):
    plain = make_metrics(direct=120)
    alone = make_metrics(direct=100)
    metrics = plain.model_copy(
        update={
            "without_prior": alone.direct,
            "comparisons": plain.comparisons | {"direct_vs_without_prior": plain.comparisons["direct_vs_transitions"]},
        }
    )
    (line,) = [line for line in summary_table(metrics).splitlines() if line.startswith("  direct, without prior ")]
    assert line.count("0.2500") == 4
    assert "the policy with it is ahead of the policy alone by +10.0" in find(standing(metrics), "What the prior").text
    assert "without prior" not in summary_table(plain)
