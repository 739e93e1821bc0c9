import numpy as np
import pytest

from gream.config import EvaluationConfig
from gream.evaluation.cases import SAMPLE_SEED, Cases
from gream.evaluation.examples import example_users
from gream.evaluation.policy_evaluation import evaluate_policy
from gream.evaluation.user_values import UserValues
from gream.policy.recommendations import ReasonedAnswer, Recommendations, ScoredItem

pytestmark = pytest.mark.unit

TOKENS = {f"i{number}": (f"<|a_{number + 1}|>", "<|b_1|>") for number in range(12)}
TEXT = {item: "".join(tokens) for item, tokens in TOKENS.items()}
CASES = Cases(users=["u", "v"], histories=[["i0", "i1"], ["i2"]], targets=["i3", "i4"])


class Scripted:
    """A policy that says what it is told to, and remembers what it was asked."""

    def __init__(self, direct, reasoning, chains):
        self.lists = {"direct": direct, "reasoning": reasoning}
        self.chains = chains
        self.asked = []

    def recommend_batch(self, histories, k=10, mode="direct", excludes=None, beams=None, progress=""):
        self.asked.append((mode, excludes, beams, k))
        chain = f"evidence: {TEXT['i0']} | wants: more" if mode == "reasoning" else None
        return [
            Recommendations(tuple(ScoredItem(item, item.upper(), -1.0, TOKENS.get(item, ())) for item in items), chain)
            for items in self.lists[mode][: len(histories)]
        ]

    def reason_batch(self, histories, chains, seed=0, excludes=None, answer="best", beams=None, progress=""):
        self.asked.append((answer, excludes, chains, seed))
        return self.chains

    def render(self, chain):
        return chain.replace(TEXT["i0"], "[Zero | One]")


def scripted(**changes):
    parts = {
        "direct": [["i3", "i5"], ["i5", "i6", "i4"]],
        "reasoning": [["i5", "i3"], ["i5"]],
        "chains": [
            [
                ReasonedAnswer("i3", TEXT["i0"], True, 1.0),
                ReasonedAnswer("i5", f"{TEXT['i1']} {TEXT['i7']}", True, 0.5),
            ],
            [ReasonedAnswer("i6", "no citation", False, 1.0), ReasonedAnswer("i7", TEXT["i2"], True, 0.1)],
        ],
    }
    return Scripted(**(parts | changes))


def evaluated(policy, exclude_seen=True):
    config = EvaluationConfig(chains=2, beams=7)
    return evaluate_policy(policy, TOKENS, CASES, exclude_seen, config, seed=5, label="policy")


def test_both_modes_by_hand():
    outcome = evaluated(scripted())
    assert outcome.direct["recall@5"].tolist() == [1, 1]
    assert outcome.direct["ndcg@10"].tolist() == [1, 0.5]
    assert outcome.reasoning["recall@10"].tolist() == [1, 0]
    assert outcome.reasoning["pass@1"].tolist() == [0.5, 0]
    assert {name for name in outcome.reasoning if name.startswith("pass@")} == {"pass@1"}  # two chains: no Pass@5


def test_pass_at_k_goes_up_to_the_number_of_chains():
    """One of u's five chains is right."""
    right, wrong = (ReasonedAnswer(item, TEXT["i0"], True, 1.0) for item in ("i3", "i5"))
    policy = scripted(chains=[[right, *[wrong] * 4], [wrong] * 5])
    outcome = evaluate_policy(policy, TOKENS, CASES, True, EvaluationConfig(chains=5), seed=5, label="policy")
    passes = {name: values.tolist() for name, values in outcome.reasoning.items() if name.startswith("pass@")}
    assert passes == {"pass@1": [pytest.approx(0.2), 0], "pass@5": [1, 0]}


def test_chains_that_ignore_the_history_are_counted():
    answers = evaluated(scripted()).answers
    assert answers.unaided_chains == pytest.approx((1.0 + 0.5 + 1.0 + 0.1) / 4)
    assert answers.chains_off_history == 0.5  # one cites i7, which u does not have; one cites nothing
    assert answers.unfinished_chains == 0.25


def test_illegal_items_are_counted_and_never_hit():
    outcome = evaluated(scripted(direct=[["ghost", "i3"], ["i4"]]))
    assert outcome.answers.legal_items == pytest.approx(9 / 10)
    assert outcome.direct["ndcg@5"].tolist() == pytest.approx([0.6309297535714575, 1.0])


def test_users_left_out_of_reasoning_have_no_number():
    """One of two users reasons; the other's values are NaN, which intervals and paired differences leave out."""
    rows, chosen = CASES.sample(1, SAMPLE_SEED)
    policy = scripted(reasoning=[chosen.targets], chains=[[ReasonedAnswer("i3", TEXT["i0"], True, 1.0)] * 2])
    config = EvaluationConfig(chains=2, beams=7, reasoning_users=1)
    outcome = evaluate_policy(policy, TOKENS, CASES, False, config, seed=5, label="policy")
    assert np.flatnonzero(~np.isnan(outcome.reasoning["recall@10"])).tolist() == rows.tolist()
    values = UserValues(CASES.users, {"direct": outcome.direct, "reasoning": outcome.reasoning})
    assert values.intervals("reasoning", 10)["recall@10"].value == 1
    assert values.difference("direct", "reasoning", 10)["recall@10"].value == outcome.direct["recall@10"][rows[0]] - 1


def test_the_policy_is_asked_under_the_protocol():
    policy = scripted()
    evaluated(policy)
    assert policy.asked == [
        ("direct", CASES.histories, 7, 10),
        ("reasoning", CASES.histories, 7, 10),
        ("sample", CASES.histories, 2, 5),
    ]
    keeps = scripted()
    evaluated(keeps, exclude_seen=False)
    assert {excludes for _, excludes, _, _ in keeps.asked} == {None}


def test_who_has_taken_everything_is_never_right_and_stops_nobody():
    """Something must be left to sample, so u may be answered i3 here; of a ranking nothing is left."""
    cases = Cases(users=["u", "v"], histories=[list(TOKENS), ["i2"]], targets=["i3", "i4"])
    chains = [[ReasonedAnswer("i3", TEXT["i0"], True, 1.0)] * 2, [ReasonedAnswer("i4", TEXT["i2"], True, 1.0)] * 2]
    policy = scripted(direct=[[], ["i4"]], reasoning=[[], ["i4"]], chains=chains)
    outcome = evaluate_policy(policy, TOKENS, cases, True, EvaluationConfig(chains=2), seed=5, label="policy")
    assert policy.asked[-1] == ("sample", [[], ["i2"]], 2, 5)
    assert outcome.reasoning["pass@1"].tolist() == outcome.reasoning["recall@10"].tolist() == [0, 1]
    assert outcome.direct["recall@10"].tolist() == [0, 1]


def test_example_users_show_titles_chain_and_the_held_out_item():
    titles = {item: f"Title {item}" for item in TOKENS}
    first, second = example_users(scripted(), titles, CASES, True, EvaluationConfig(), seed=0)
    assert first.history == ["Title i0", "Title i1"]
    assert first.held_out == "Title i3"
    assert [(item.title, item.held_out) for item in first.direct] == [("I3", True), ("I5", False)]
    assert first.direct[0].probability == pytest.approx(0.36787944117)  # exp(-1)
    assert first.chain == ["evidence: [Zero | One]", "wants: more"]
    assert not any(item.held_out for item in second.reasoning)
    assert len(example_users(scripted(), titles, CASES, True, EvaluationConfig(), seed=0, count=1)) == 1
