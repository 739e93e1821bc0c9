import math

import pytest

from gream.decoding.chains import Chain
from gream.errors import RequestError
from gream.policy.query import Query

pytestmark = pytest.mark.unit

HISTORY = ["m0", "m3", "m1"]


def test_scores_of_all_items_are_a_distribution(policy, items):
    scores = policy.score_all(HISTORY)
    assert list(scores) == items["item_id"].to_list()
    assert sum(map(math.exp, scores.values())) == pytest.approx(1.0, abs=1e-12)


def test_recommend_ranks_as_score_all_does(policy, index):
    scores = policy.score_all(HISTORY)
    found = policy.recommend(HISTORY, k=10)
    assert [item.item_id for item in found] == sorted(scores, key=scores.get, reverse=True)
    assert [item.score for item in found] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
    assert found[0].tokens == index.encode([found[0].item_id])[0]
    assert found.chain is None
    assert len(found) == 10
    assert [item.item_id for item in found[:2]] == [found[0].item_id, found[1].item_id]


def test_excluded_items_do_not_come_back_and_k_others_do(policy):
    everything = [item.item_id for item in policy.recommend(HISTORY, k=10)]
    found = policy.recommend(HISTORY, k=6, exclude=[*everything[:4], "unknown to the catalogue"])
    assert [item.item_id for item in found] == everything[4:]
    assert len(policy.recommend(HISTORY, k=10, exclude=everything[1:])) == 1


def test_only_the_window_of_a_history_counts(policy):
    assert policy.score_all(["m5", "m6", *HISTORY, "m2"]) == policy.score_all([*HISTORY, "m2"])
    assert policy.score_all([*HISTORY, "m2"]) != policy.score_all(["m5", *HISTORY])


def test_reasoning_gives_a_chain_and_distinct_items(policy):
    found = policy.recommend(HISTORY, k=5, mode="reasoning")
    assert len({item.item_id for item in found}) == 5
    assert found.chain is not None
    assert "</think>" not in found.chain
    assert found.readable_chain == policy.render(found.chain)
    assert found == policy.recommend(HISTORY, k=5, mode="reasoning")


def test_each_history_has_random_numbers_of_its_own(policy, monkeypatch):
    """Of users who share them one seed would make all lucky, and another none."""
    asked = []

    def chains(*arguments, **_):
        asked.append(arguments[3])
        return [[Chain([policy.prompter.stop_id], [0.0], [0], True, 0.0)] for _ in arguments[3]]

    monkeypatch.setattr("gream.policy.policy.sample_chains", chains)
    policy.recommend_batch([HISTORY, ["m7"], HISTORY], k=1, mode="reasoning")
    policy.recommend(["m7"], k=1, mode="reasoning")
    (together, alone) = asked
    assert together[0].tolist() == together[2].tolist() != together[1].tolist()
    assert alone[0].tolist() == together[1].tolist()


def test_with_the_same_luck_only_what_the_prompt_shows_makes_another_chain(policy):
    """The fourth item back is out of the window of three, but the random numbers follow from it too."""
    histories = [["m5", *HISTORY], ["m6", *HISTORY], ["m5", "m0", "m3", "m8"]]
    own = [answer.chain for answer in policy.recommend_batch(histories, k=1, mode="reasoning")]
    same = [
        answer.chain
        for answer in policy.recommend_batch(histories, k=1, mode="reasoning", luck=[histories[0]] * len(histories))
    ]
    assert own[0] != own[1]
    assert own[0] == same[0] == same[1] != same[2]
    with pytest.raises(RequestError, match=r"uniforms must have the shape .* = \(3, "):
        policy.recommend_batch(histories, mode="reasoning", luck=[HISTORY])


def test_more_items_than_there_are_is_all_of_them(policy, items):
    found = policy.recommend(HISTORY, k=1_000_000)
    assert sorted(item.item_id for item in found) == sorted(items["item_id"])
    assert found == policy.recommend(HISTORY, k=items.height)


def test_a_batch_answers_as_single_requests_do(policy):
    histories = [HISTORY, ["m7"], ["m9", "m8", "m2", "m4"]]
    for mode in ("direct", "reasoning"):
        together = policy.recommend_batch(histories, k=3, mode=mode)
        for history, row in zip(histories, together, strict=True):
            alone = policy.recommend(history, k=3, mode=mode)
            assert (alone.chain, [item.item_id for item in alone]) == (row.chain, [item.item_id for item in row])


def test_each_chain_gets_one_answer(policy, items):
    histories, excludes = [HISTORY, ["m7"]], [items["item_id"].to_list()[:8], []]
    for answer in ("best", "sample"):
        rows = policy.reason_batch(histories, chains=6, seed=3, excludes=excludes, answer=answer)
        assert [len(row) for row in rows] == [6, 6]
        assert {one.item_id for one in rows[0]} <= {"m8", "m9"}
        assert len({one.chain for one in rows[0]}) > 1
        assert rows == policy.reason_batch(histories, chains=6, seed=3, excludes=excludes, answer=answer)
        assert rows != policy.reason_batch(histories, chains=6, seed=4, excludes=excludes, answer=answer)


@pytest.mark.parametrize("mode", ["direct", "reasoning"])
def test_nobody_is_answered_with_nothing(policy, mode):
    assert policy.recommend_batch([], mode=mode) == []


def test_an_empty_history_is_answered(policy):
    assert len(policy.recommend([], k=3)) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"history": ["m0", "x9"]}, "item 'x9' of the history is not in this policy's catalogue"),
        ({"history": HISTORY, "mode": "psychic"}, "mode must be one of direct, reasoning, not 'psychic'"),
        ({"history": HISTORY, "k": 0}, "k must be at least 1"),
    ],
)
def test_wrong_requests_are_refused(policy, arguments, message):
    with pytest.raises(RequestError, match=message):
        policy.recommend(**arguments)


def test_no_chains_are_refused(policy):
    with pytest.raises(RequestError, match="chains must be at least 1, not 0"):
        policy.reason_batch([HISTORY], chains=0)


@pytest.mark.parametrize("answer", ["best", "sample"])
def test_an_answer_needs_an_item(policy, items, answer):
    everything = items["item_id"].to_list()
    with pytest.raises(RequestError, match=r"excludes (every item|all 10 items)"):
        policy.reason_batch([HISTORY, HISTORY], chains=2, excludes=[[], everything], answer=answer)


def test_queries_of_any_size_share_a_batch(policy):
    histories, ks = [HISTORY, ["m7"], [], ["m2", "m5"]], [2, 7, 1, 10]
    queries = [
        Query(policy.numbers(history), k, policy.known_numbers(exclude))
        for history, k, exclude in zip(histories, ks, [["m1"], [], ["m0", "elsewhere"], []], strict=True)
    ]
    for mode in ("direct", "reasoning"):
        together = policy.answer(queries, mode)
        assert [len(row) for row in together] == ks
        for query, row in zip(queries, together, strict=True):
            (alone,) = policy.answer([query], mode)
            assert [item.item_id for item in alone] == [item.item_id for item in row]
            assert [item.score for item in alone] == pytest.approx([item.score for item in row], abs=1e-5)


def test_a_chain_names_what_it_cites(policy, index):
    first, second = ("".join(tokens) for tokens in index.encode(["m9", "m3"]))
    assert policy.cited(f"{first} and {second}{first} but not <|a_1|><|b_3|><|c_2|>") == ["m9", "m3"]


def test_excludes_of_other_users_are_refused(policy):
    with pytest.raises(RequestError, match="excludes must have one entry for each of 2 users, not 1"):
        policy.recommend_batch([HISTORY, HISTORY], excludes=[[]])
    with pytest.raises(RequestError, match="k must be at least 1, not 0"):
        policy.answer([Query(policy.numbers(HISTORY), k, policy.numbers([])) for k in (3, 0)], "direct")
