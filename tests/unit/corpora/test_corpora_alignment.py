from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from gream.config import CorpusConfig
from gream.corpora.alignment import (
    alignment_examples,
    fusion_examples,
    naming_examples,
    preference_examples,
    search_examples,
    sequence_examples,
)
from gream.corpora.checks import citations, mentions_title
from gream.corpora.example import ALIGNMENT_TASKS
from gream.corpora.texts import TemplateTexts
from gream.prompts import load_prompts

pytestmark = pytest.mark.unit

SEQUENCES = {
    "one": ["annie", "alien", "fargo", "blade", "raiders", "thing", "heat"],
    "two": ["alien", "thing"],
    "lone": ["crime"],
}
CONFIG = CorpusConfig(history_window=2, seqrec_passes=4, text_passes=2, itemsearch_samples=20)


def rng(seed=0):
    return np.random.default_rng(seed)


def names(films, text):
    by_tokens = {item.tokens: item.item_id for item in films.values()}
    return [by_tokens[tokens] for tokens in citations(text)]


def wordings(task, key="prompts"):
    return [prompt.partition("{")[0] for prompt in load_prompts("alignment")[task][key]]


def test_every_task_has_at_least_three_wordings():
    forms = load_prompts("alignment")
    prompts = [forms[task]["prompts"] for task in ("item2index", "index2item", "itemsearch", "preferenceobtain")]
    prompts += [
        forms["fusionseqrec"]["to_title"],
        forms["fusionseqrec"]["to_index"],
        load_prompts("policy")["direct"]["prompts"],
    ]
    assert all(len(set(wording)) >= 3 for wording in prompts)


def test_each_pass_holds_every_training_event_once(films):
    examples = list(sequence_examples(SEQUENCES, films, CONFIG, rng()))
    events = Counter(name for example in examples for name in names(films, example.answer))
    assert events == {name: 4 * count for name, count in Counter(n for s in SEQUENCES.values() for n in s).items()}
    assert {example.task for example in examples} == {"seqrec"}
    assert {example.prompt for example in examples} <= set(load_prompts("policy")["direct"]["prompts"])
    assert all(len(names(films, example.answer)) <= 3 for example in examples)


def test_every_other_pass_ends_with_the_whole_last_window(films):
    answers = [example.answer for example in sequence_examples(SEQUENCES, films, CONFIG, rng())]
    last = "".join(films[name].index for name in SEQUENCES["one"][-3:])
    assert answers.count(last) >= 2
    whole = "".join(films[name].index for name in SEQUENCES["two"])
    assert answers.count(whole) == 4


def test_cuts_move_between_passes(films):
    config = CONFIG.model_copy(update={"seqrec_passes": 40})
    answers = {example.answer for example in sequence_examples({"one": SEQUENCES["one"]}, films, config, rng())}
    starts = {names(films, answer)[0] for answer in answers}
    assert starts == set(SEQUENCES["one"])


def test_naming_goes_both_ways_for_every_item(films):
    examples = list(naming_examples(films, 2, rng()))
    to_index = [example for example in examples if example.task == "item2index"]
    to_title = [example for example in examples if example.task == "index2item"]
    assert Counter(example.answer for example in to_index) == {item.index: 2 for item in films.values()}
    assert Counter(example.answer for example in to_title) == {item.title: 2 for item in films.values()}
    for example in to_index:
        (item,) = [item for item in films.values() if item.index == example.answer]
        assert example.prompt.endswith((item.title, item.profile, f"{item.title} Index:", f"{item.profile} Index:"))
    for example in to_title:
        assert names(films, example.prompt) == [i.item_id for i in films.values() if i.title == example.answer]


def test_fusion_shows_a_history_and_asks_for_what_followed(films):
    config = CONFIG.model_copy(update={"text_passes": 30})
    examples = list(fusion_examples(SEQUENCES, films, config, rng()))
    by_title = {item.title: item.item_id for item in films.values()}
    to_title = [example for example in examples if example.answer in by_title]
    to_index = [example for example in examples if example.answer not in by_title]
    assert len(to_title) == len(to_index) == 30 * 2  # the user with one event has no step
    steps = {(tuple(s[max(0, p - 2) : p]), s[p]) for s in SEQUENCES.values() for p in range(1, len(s))}
    assert {(tuple(names(films, e.prompt)), by_title[e.answer]) for e in to_title} == steps
    for example in to_index:
        (target,) = names(films, example.answer)
        shown = [item for title, item in by_title.items() if title in example.prompt]
        before = [s[max(0, p - 5) : p] for s in SEQUENCES.values() for p in range(1, len(s)) if s[p] == target]
        assert sorted(shown) in [sorted(history) for history in before]


def test_a_number_of_preferences_is_drawn_from_as_many_users_as_possible(films):
    class Taste(TemplateTexts):
        def preferences(self, histories):
            asked.extend(histories)
            return ["films"] * len(histories)

    asked = []
    drawn = CONFIG.model_copy(update={"preference_samples": 3})
    examples = list(preference_examples(SEQUENCES, films, Taste(rng()), drawn, rng()))
    assert len(examples) == len(asked) == 3  # What is not drawn is not asked for.
    histories = [names(films, example.prompt) for example in examples]
    assert [[item.item_id for item in history] for history in asked] == histories
    # The one beginning that "two" has and two of "one"; a sequence of one item has none before its last.
    assert histories.count(["alien"]) == 1
    assert len({tuple(history) for history in histories}) == 3
    everybody = list(preference_examples(SEQUENCES, films, Taste(rng()), CONFIG, rng()))
    assert len(everybody) == CONFIG.text_passes * len(SEQUENCES)


def test_preferences_describe_the_history_they_follow(films):
    examples = list(preference_examples({"two": SEQUENCES["two"]}, films, TemplateTexts(rng()), CONFIG, rng()))
    assert len(examples) == 2
    expected = {("alien",): "Horror, Sci-Fi", ("alien", "thing"): "Horror, Sci-Fi"}
    for example in examples:
        assert example.answer == expected[tuple(names(films, example.prompt))]


def test_searches_take_every_item_before_any_twice_and_never_say_its_title(films):
    examples = list(search_examples(films, TemplateTexts(rng()), 20, rng()))
    counts = Counter(example.answer for example in examples)
    assert sum(counts.values()) == 20
    assert set(counts.values()) == {2, 3}
    titles = {item.index: item.full_title for item in films.values()}
    assert not any(mentions_title(example.prompt, titles[example.answer]) for example in examples)
    assert list(search_examples(films, TemplateTexts(rng()), 0, rng())) == []


def test_template_intents_worked_by_hand(films):
    writer = TemplateTexts(rng())
    alien, crime, raiders = writer.intents([films["alien"], films["crime"], films["raiders"]])
    assert alien == "1970s, Horror, Sci-Fi, Fox"
    assert crime == "1990s, Drama"  # its category is its title
    words = raiders.removeprefix("1980s, Adventure, ").split(", ")
    # Telling words of the title: Indiana Jones Temple ("Doom," is not a word of letters alone; Special Edition).
    assert len(words) == 2
    assert set(words) < {"indiana", "jones", "temple", "special", "edition"}


def test_all_six_tasks_come_out_and_repeat_under_the_seed(films):
    examples = alignment_examples(SEQUENCES, films, TemplateTexts(rng(1)), CONFIG, rng())
    assert {example.task for example in examples} == set(ALIGNMENT_TASKS)
    assert examples == alignment_examples(SEQUENCES, films, TemplateTexts(rng(1)), CONFIG, rng())
    assert examples != alignment_examples(SEQUENCES, films, TemplateTexts(rng(1)), CONFIG, rng(5))


def test_items_without_texts_are_left_out_of_text_tasks(films):
    bare = {"x": replace(films["alien"], title="", full_title="", profile="", categories=(), brand="", decade="")}
    assert list(naming_examples(bare, 1, rng())) == []
    assert list(search_examples(bare, TemplateTexts(rng()), 5, rng())) == []
    assert list(preference_examples({"u": ["x"]}, bare, TemplateTexts(rng()), CONFIG, rng())) == []
    assert list(fusion_examples({"u": ["x", "x"]}, bare, CONFIG, rng())) == []
