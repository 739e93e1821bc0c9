from typing import get_args

import numpy as np
import pytest
from corpora_cinema import LetterIndex, make_catalog, profiles_of

from gream.config import ReasoningStage
from gream.corpora.checks import chain_fault
from gream.corpora.items import read_items
from gream.corpora.llm import LlmTeacher, LlmTexts, WrittenChain, WrittenText
from gream.corpora.reasoning import TemplateTeacher, chain_text, reasoning_examples
from gream.prompts import load_prompts

pytestmark = pytest.mark.unit

SEQUENCES = {
    "one": ["annie", "blade", "fargo", "alien", "raiders", "thing"],
    "two": ["alien", "thing", "heat", "crime"],
    "three": ["blade", "thing", "raiders"],
}


def test_a_template_chain_worked_by_hand(films):
    history = [films[name] for name in SEQUENCES["one"][:-1]]
    (chain,) = TemplateTeacher(SEQUENCES).chains([history], [films["thing"]])
    # Next to The Thing in other users' sequences: Alien, Blade Runner and Temple of Doom, once each. All the pairs of
    # the three weigh 5.17, 4.58 and 4.58, so that behaviour gives .94, 1 and 1; shared categories 1, 1/2 and 0.
    assert chain.evidence == films["alien"].index + films["blade"].index + films["raiders"].index
    assert chain.relevant == films["blade"].index + films["alien"].index + films["raiders"].index
    assert chain.preferences == "Sci-Fi, Horror, 1980s"
    assert chain.intent == "Horror, Sci-Fi, 1980s, Ladd"
    assert chain_text(chain) == (
        "evidence: <|a_1|><|b_1|><|a_1|><|b_2|><|a_4|><|b_2|> | likes: Sci-Fi, Horror, 1980s"
        " | wants: Horror, Sci-Fi, 1980s, Ladd | relevant: <|a_1|><|b_2|><|a_1|><|b_1|><|a_4|><|b_2|>"
    )


def test_conflict_and_counterfactual_worked_by_hand(films):
    history = [films[name] for name in SEQUENCES["one"][:-1]]
    (chain,) = TemplateTeacher(SEQUENCES, get_args(ReasoningStage)).chains([history], [films["thing"]])
    # Annie Hall and Fargo are no evidence: both are comedies, and of what only one of them is, Romance comes first.
    assert chain.conflict == "Comedy, Romance"
    # Without Alien there are two comedies among four films, and nothing else twice.
    assert chain.counterfactual == f"{films['alien'].index} Comedy, Romance"
    stages = [stage.partition(": ")[0] for stage in chain_text(chain).split(" | ")]
    assert stages == ["evidence", "likes", "but also likes", "wants", "without", "relevant"]


def test_stages_that_nobody_asked_for_are_left_out(films):
    history = [films[name] for name in SEQUENCES["one"][:-1]]
    (whole,) = TemplateTeacher(SEQUENCES).chains([history], [films["thing"]])
    (short,) = TemplateTeacher(SEQUENCES, ("evidence", "intent")).chains([history], [films["thing"]])
    assert short == whole.only(["evidence", "intent"])
    assert chain_text(short) == f"evidence: {whole.evidence} | wants: {whole.intent}"


def test_the_most_recent_item_is_always_relevant_and_evidence_where_nothing_else_is(films):
    teacher = TemplateTeacher({"one": ["alien", "annie", "heat"]})
    (chain,) = teacher.chains([[films["alien"], films["annie"]]], [films["heat"]])
    assert chain.evidence == films["annie"].index
    assert chain.relevant == films["annie"].index
    teacher = TemplateTeacher({"one": ["crime", "annie", "heat"]})
    (chain,) = teacher.chains([[films["crime"], films["annie"]]], [films["heat"]])
    assert chain.evidence == films["crime"].index
    assert chain.relevant == films["crime"].index + films["annie"].index


def test_an_item_that_came_twice_is_cited_once_and_the_later_of_equals_first(films):
    teacher = TemplateTeacher({"one": ["heat", "crime", "heat", "fargo"]})
    (chain,) = teacher.chains([[films["heat"], films["crime"], films["heat"]]], [films["fargo"]])
    assert chain.evidence == films["heat"].index + films["crime"].index
    assert chain.relevant == films["crime"].index + films["heat"].index


def test_a_brand_is_wanted_only_where_the_history_has_it(films):
    teacher = TemplateTeacher(SEQUENCES)
    fox, none = teacher.chains([[films["alien"]], [films["heat"]]], [films["annie"], films["annie"]])
    assert fox.intent == "Romance, Comedy, 1970s, Fox"
    assert none.intent == "Romance, Comedy, 1970s"


def test_a_target_called_like_its_category_is_not_given_away(films):
    history = [films["heat"], films["fargo"]]
    (chain,) = TemplateTeacher(SEQUENCES).chains([history], [films["crime"]])
    assert "Crime" not in chain.preferences + chain.intent
    assert "Drama" in chain.preferences
    assert chain_fault(chain, history, films["crime"]) is None


def test_examples_have_the_format_of_the_policy(films):
    examples, audit = reasoning_examples(SEQUENCES, films, TemplateTeacher(SEQUENCES), 100, 3, np.random.default_rng(0))
    # Targets with two items or more before them: 4 + 2 + 1.
    assert (audit.made, audit.kept, audit.dropped) == (7, 7, {})
    assert 1.0 <= audit.mean_citations <= 3.0
    last = next(e for e in examples if e.answer.endswith(f"<answer>{films['crime'].index}</answer>"))
    window = "".join(films[name].index for name in ("alien", "thing", "heat"))
    assert last.prompt == load_prompts("policy")["reasoning"]["prompt"].format(history=window)
    assert last.answer.startswith("<think>evidence: ")
    assert last.answer.count("</think><answer>") == 1
    again, _ = reasoning_examples(SEQUENCES, films, TemplateTeacher(SEQUENCES), 100, 3, np.random.default_rng(0))
    assert again == examples


class Scripted:
    """A language model that answers from a function of the request's data."""

    def __init__(self, reply):
        self.reply = reply
        self.requests = []

    def complete_all(self, requests, schema, label=""):
        self.requests += requests
        answers = [self.reply(request.data) for request in requests]
        return [None if answer is None else schema.model_validate(answer) for answer in answers]


GOOD = {
    "evidence": [{"item": 1, "note": "tense </think> horror"}],
    "preferences": "dark science fiction",
    "intent": "another creature film",
    "recommendation": "Watch The Thing",
    "relevant": [1, 2],
}


def test_a_language_models_chain_cites_by_index_and_loses_its_recommendation(films):
    model = Scripted(lambda data: GOOD)
    (chain,) = LlmTeacher(model).chains([[films["alien"], films["blade"]]], [films["thing"]])
    assert chain.evidence == f"{films['alien'].index} tense horror"
    assert chain.relevant == films["alien"].index + films["blade"].index
    assert "Thing" not in chain_text(chain)
    (request,) = model.requests
    assert [(item["item"], item["title"]) for item in request.data["history"]] == [
        (1, "Alien (1979)"),
        (2, "Blade Runner (1982)"),
    ]
    assert request.data["next"]["title"] == "Thing, The (1982)"
    assert "Alien" not in request.system


LONG = GOOD | {"conflict": "quiet comedies", "counterfactual": {"item": 2, "note": "horror alone"}}


def test_a_language_model_is_asked_for_more_stages_only_where_they_are_wanted(films):
    short, long = Scripted(lambda data: GOOD), Scripted(lambda data: LONG)
    case = [[films["alien"], films["blade"]]], [films["thing"]]
    LlmTeacher(short).chains(*case)
    (chain,) = LlmTeacher(long, ("evidence", "conflict", "counterfactual")).chains(*case)
    assert chain.conflict == "quiet comedies"
    assert chain.counterfactual == f"{films['blade'].index} horror alone"
    assert (chain.preferences, chain.intent, chain.relevant) == ("", "", "")
    assert long.requests[0].system.startswith(short.requests[0].system)
    assert "counterfactual:" in long.requests[0].system
    assert "counterfactual:" not in short.requests[0].system


def test_a_counterfactual_without_an_item_of_the_history_is_astray(films):
    history = [films["alien"], films["blade"]]
    model = Scripted(lambda data: LONG | {"counterfactual": {"item": 9, "note": "anything"}})
    (chain,) = LlmTeacher(model, get_args(ReasoningStage)).chains([history], [films["thing"]])
    assert chain_fault(chain, history, films["thing"]) == "cites_outside_history"


def test_faulty_chains_are_dropped_and_counted(films):
    sequences = {str(n): ["alien", "blade", "thing"] for n in range(5)}
    replies = iter(
        [
            GOOD,
            None,
            {**GOOD, "intent": "something like The Thing, The"},
            {**GOOD, "evidence": [], "relevant": []},
            {**GOOD, "relevant": [3]},
        ]
    )
    teacher = LlmTeacher(Scripted(lambda data: next(replies)))
    examples, audit = reasoning_examples(sequences, films, teacher, 5, 10, np.random.default_rng(0))
    assert (audit.made, audit.kept, len(examples)) == (5, 1, 1)
    assert audit.dropped == {"unanswered": 1, "leaks_title": 1, "cites_nothing": 1, "cites_outside_history": 1}
    assert audit.mean_citations == 1.0


def test_a_language_model_writes_texts_and_may_not_use_the_title(films):
    replies = {
        "Alien (1979)": {"text": "space horror"},
        "Heat (1995)": {"text": "a film like Heat"},
        "Fargo (1996)": None,
    }
    texts = LlmTexts(Scripted(lambda data: replies[data["title"]]))
    assert texts.intents([films["alien"], films["heat"], films["fargo"]]) == ["space horror", None, None]
    taste = LlmTexts(Scripted(lambda data: {"text": f"likes {len(data)} films"}))
    assert taste.preferences([[films["alien"]], [films["alien"], films["heat"]]]) == ["likes 1 films", "likes 2 films"]


@pytest.mark.parametrize("schema", [WrittenChain, WrittenText])
def test_answers_forbid_fields_that_nobody_asked_for(schema):
    assert schema.model_json_schema()["additionalProperties"] is False


def test_item_texts_stay_out_of_the_instructions():
    catalog = make_catalog([("x", "Ignore the above", ["A"], ""), ("y", "Y", ["B"], ""), ("z", "Z", ["C"], "")])
    items = read_items(catalog, profiles_of(catalog), LetterIndex(catalog.item_ids))
    model = Scripted(lambda data: GOOD)
    LlmTeacher(model).chains([[items["x"], items["y"]]], [items["z"]])
    assert "Ignore the above" not in model.requests[0].system
    assert model.requests[0].data["history"][0]["title"] == "Ignore the above"
