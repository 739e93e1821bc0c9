import pytest
from tiny_policy import histories

from gream.decoding.trie import TokenTrie
from gream.errors import RequestError
from serving.contracts import EngineRequest
from serving.engine.transformers_engine import TransformersEngine

pytestmark = pytest.mark.unit

HISTORY = ("item-3", "item-7", "item-20")


def ids(answer):
    return [item.item_id for item in answer.items]


@pytest.fixture(scope="module")
def mixed(policy):
    """Requests of both modes, of every size, with every filter."""
    known = policy.items["item_id"].to_list()
    asked = [
        EngineRequest(history=tuple(history), k=k, mode=mode)
        for history, k, mode in zip(
            histories(known, 8), [1, 3, 8, 12, 60, 5, 9, 2], ["direct", "reasoning"] * 4, strict=True
        )
    ]
    return [
        *asked,
        EngineRequest(history=HISTORY, exclude=HISTORY, categories=("garden",)),
        EngineRequest(
            history=HISTORY, mode="reasoning", categories=("Books", "GAMES"), exclude=("item-0", "elsewhere")
        ),
    ]


def test_an_answer_does_not_depend_on_its_batch(engine, mixed):
    for request, together in zip(mixed, engine.recommend(mixed), strict=True):
        (alone,) = engine.recommend([request])
        assert ids(alone) == ids(together)
        assert (alone.chain, alone.cited) == (together.chain, together.cited)
        assert [item.score for item in alone.items] == pytest.approx([i.score for i in together.items], abs=1e-4)


def test_an_answer_is_the_policys(engine, policy, mixed):
    answers = engine.recommend(mixed[:4])
    for request, answer in zip(mixed, answers, strict=False):
        expected = policy.recommend(list(request.history), request.k, request.mode)
        assert [(item.item_id, item.title, item.tokens) for item in answer.items] == [
            (item.item_id, item.title, item.tokens) for item in expected
        ]
        assert (answer.chain, answer.readable_chain) == (expected.chain, expected.readable_chain)
    assert {answer.policy_version for answer in answers} == {engine.policy_version}
    assert [answer.batch_size for answer in answers] == [2, 2, 2, 2]


def test_filters_leave_k_items(engine):
    # Every third item is in the garden: numbers 2, 5, 8, ... 59, twenty of them; item-20 is one and excluded.
    (answer,) = engine.recommend([EngineRequest(history=HISTORY, k=19, exclude=HISTORY, categories=("gArDeN",))])
    assert sorted(ids(answer), key=lambda item: int(item[5:])) == [f"item-{n}" for n in range(2, 60, 3) if n != 20]


def test_a_filter_is_worked_out_once_and_an_exclusion_costs_what_it_names(bundle, monkeypatch):
    passes, named = [], []
    whole, keys = TokenTrie.open_children, TokenTrie.dead_keys
    monkeypatch.setattr(TokenTrie, "open_children", lambda *given: passes.append(given) or whole(*given))
    monkeypatch.setattr(
        TokenTrie,
        "dead_keys",
        lambda trie, excluded, *rest: named.append([len(row) for row in excluded]) or keys(trie, excluded, *rest),
    )
    engine = TransformersEngine.load(bundle, "made-up")
    asked = [("Games", "garden"), ("GARDEN", "games"), ("garden", "Games", "games"), ()]
    requests = [
        EngineRequest(history=HISTORY, categories=names, exclude=HISTORY[: place + 1])
        for place, names in enumerate(asked)
    ]
    answers = engine.recommend(requests)
    engine.recommend([*requests, EngineRequest(history=(), new_only=True)])
    engine.recommend([EngineRequest(history=(), new_only=True)])
    assert len(passes) == 2
    assert named == [[1, 2, 3, 3], [1, 2, 3, 3, 0], [0]]
    assert ids(answers[3])
    for answer, request in zip(answers, requests, strict=True):
        assert not set(ids(answer)) & set(request.exclude)


def test_new_items_alone(engine):
    (answer,) = engine.recommend([EngineRequest(history=HISTORY, new_only=True, exclude=("item-58",))])
    assert sorted(ids(answer)) == ["item-57", "item-59"]


def test_fewer_than_k_only_where_fewer_are_allowed(engine):
    (answer,) = engine.recommend([EngineRequest(history=(), k=10, categories=("garden",), exclude=("item-2",))])
    assert len(answer.items) == 10
    excluded = [f"item-{n}" for n in range(60) if n not in (11, 14)]
    (answer,) = engine.recommend([EngineRequest(history=(), k=10, mode="reasoning", exclude=excluded)])
    assert sorted(ids(answer)) == ["item-11", "item-14"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (EngineRequest(history=("item-1", "nowhere")), "'nowhere' of the history is not in this policy's catalogue"),
        (EngineRequest(history=(), categories=("Boats",)), "no item is left to recommend"),
        (EngineRequest(history=(), categories=("Nowhere",), new_only=True), "no item is left to recommend"),
        (EngineRequest(history=(), exclude=[f"item-{n}" for n in range(60)]), "no item is left to recommend"),
    ],
)
def test_what_cannot_be_answered_is_refused(engine, request_, message):
    with pytest.raises(RequestError, match=message):
        engine.recommend([request_])


def test_a_chain_cites_the_history_alone(engine, mixed):
    reasoned = [request for request in mixed if request.mode == "reasoning" and request.history]
    cited = 0
    for request, answer in zip(reasoned, engine.recommend(reasoned), strict=True):
        assert set(answer.cited) <= set(request.history)
        assert len(set(answer.cited)) == len(answer.cited)
        for item in answer.cited:
            assert f"[Thing No. {item[5:]}]" in answer.readable_chain
        cited += len(answer.cited)
    assert cited > 0


def test_a_listener_hears_each_chain_as_it_grows(engine, mixed):
    heard = {}

    def listen(place, piece):
        heard.setdefault(place, []).append(piece.text)

    answers = engine.recommend(mixed, listen)
    reasoned = {place for place, request in enumerate(mixed) if request.mode == "reasoning"}
    assert set(heard) <= reasoned
    assert len(heard) > len(reasoned) / 2  # Of one that ends at once, or within its first citation, nothing is told.
    for place in heard:
        assert answers[place].readable_chain.startswith("".join(heard[place]))
    assert max(map(len, heard.values())) > 1
    # Others are cut within a citation.
    assert any(answers[place].readable_chain == "".join(heard[place]) for place in heard)
