import pytest
from corpora_cinema import LetterIndex, make_catalog, profiles_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gream.config import CorpusConfig
from gream.corpora.build import Corpus, build_corpus
from gream.corpora.checks import citations
from gream.corpora.llm import WrittenText
from gream.data.split import leave_last_one_out
from gream.errors import ArtifactError, ConfigError, EnrichmentError

pytestmark = pytest.mark.unit

CONFIG = CorpusConfig(
    history_window=4,
    seqrec_passes=2,
    text_passes=2,
    itemsearch_samples=30,
    reasoning_samples=20,
    reasoning_window=3,
    rl_prompts=10,
)
KINDS = ["Soap", "Lotion", "Comb", "Brush", "Cream"]
SEQUENCES = {f"u{u}": [str((u * 3 + step) % 12) for step in range(3 + u)] for u in range(8)}


def corpus_of(sequences, items, config=CONFIG, seed=0, **more):
    rows = [(item, f"Thing number {item}", [KINDS[n % 5]], "") for n, item in enumerate(items)]
    catalog = make_catalog(rows, sequences)
    split = leave_last_one_out(catalog)
    index = LetterIndex(catalog.item_ids)
    return build_corpus(catalog, split, profiles_of(catalog), index, config, seed, **more), split, index


def test_equal_seeds_give_equal_corpora_and_others_do_not():
    items = [str(n) for n in range(12)]
    first, _, _ = corpus_of(SEQUENCES, items)
    assert first == corpus_of(SEQUENCES, items)[0]
    other, _, _ = corpus_of(SEQUENCES, items, seed=1)
    assert other.alignment != first.alignment
    assert other.reasoning != first.reasoning
    assert other.rl != first.rl


def test_facts_count_what_the_corpus_holds(tmp_path):
    corpus, split, _ = corpus_of(SEQUENCES, [str(n) for n in range(12)])
    tasks = corpus.facts.tasks
    assert sum(facts.examples for facts in tasks.values()) == len(corpus.alignment) + len(corpus.reasoning)
    assert tasks["index2item"].examples == 24
    assert tasks["index2item"].mean_index_tokens == 2.0
    # Each pass writes each training event once, two tokens each.
    events = 2 * sum(map(len, split.train.values()))
    assert tasks["seqrec"].mean_index_tokens * tasks["seqrec"].examples == pytest.approx(2 * events)
    assert corpus.facts.rl_prompts == len(corpus.rl)
    assert corpus.facts.chains.kept == len(corpus.reasoning) == tasks["reasoning"].examples


def test_a_saved_corpus_comes_back_the_same(tmp_path):
    corpus, _, _ = corpus_of(SEQUENCES, [str(n) for n in range(12)])
    corpus.save(tmp_path / "corpus")
    assert Corpus.load(tmp_path / "corpus") == corpus
    none = CONFIG.model_copy(
        update={"reasoning_samples": 0, "rl_prompts": 0, "text_passes": 0, "itemsearch_samples": 0}
    )
    bare, _, _ = corpus_of(SEQUENCES, [str(n) for n in range(12)], config=none)
    assert (bare.reasoning, bare.rl, {example.task for example in bare.alignment}) == ([], [], {"seqrec"})
    bare.save(tmp_path / "corpus")
    assert Corpus.load(tmp_path / "corpus") == bare
    with pytest.raises(ArtifactError):
        Corpus.load(tmp_path / "nowhere")


def test_chains_are_written_as_often_as_asked():
    items = [str(n) for n in range(12)]
    once, _, _ = corpus_of(SEQUENCES, items)
    thrice, _, _ = corpus_of(SEQUENCES, items, config=CONFIG.model_copy(update={"reasoning_passes": 3}))
    assert thrice.reasoning == once.reasoning * 3
    assert thrice.facts == once.facts


def test_a_language_model_teacher_needs_a_language_model():
    with pytest.raises(ConfigError, match=r"corpus\.teacher"):
        corpus_of(SEQUENCES, [str(n) for n in range(12)], config=CONFIG.model_copy(update={"teacher": "openai"}))


class Speechless:
    """A language model that writes texts, and never a chain."""

    def complete_all(self, requests, schema, label=""):
        return [WrittenText(text="soft") if schema is WrittenText else None for _ in requests]


def test_a_teacher_of_whose_many_chains_none_is_kept_is_an_error():
    openai = CONFIG.model_copy(update={"teacher": "openai"})
    said = r"no chain of the teacher's can be trained on \(of 20 reasoning chains 0 kept; dropped: 20 unanswered\)"
    with pytest.raises(EnrichmentError, match=said):
        corpus_of(SEQUENCES, [str(n) for n in range(12)], config=openai, model=Speechless())
    few = openai.model_copy(update={"reasoning_samples": 19})
    corpus, _, _ = corpus_of(SEQUENCES, [str(n) for n in range(12)], config=few, model=Speechless())
    assert corpus.facts.chains.words() == "of 19 reasoning chains 0 kept; dropped: 19 unanswered"


@settings(max_examples=25)
@given(trains=st.lists(st.lists(st.integers(0, 9).map(str), min_size=1, max_size=12), min_size=2, max_size=6))
def test_held_out_items_are_in_no_history_and_no_target(trains):
    """Every user's validation and test item is an item that nobody has in training."""
    sequences = {f"u{n}": [*train, f"validation{n}", f"test{n}"] for n, train in enumerate(trains)}
    items = list(dict.fromkeys([*map(str, range(10)), *(item for s in sequences.values() for item in s)]))
    corpus, split, index = corpus_of(sequences, items)
    training = {item for sequence in split.train.values() for item in sequence}
    by_tokens = dict(zip(index.encode(items), items, strict=True))

    # item2index, index2item and itemsearch name items of the whole catalogue, without any user.
    by_user = [
        example for example in corpus.alignment if example.task in ("seqrec", "fusionseqrec", "preferenceobtain")
    ]
    for example in [*by_user, *corpus.reasoning]:
        named = {by_tokens[tokens] for tokens in citations(example.prompt + example.answer)}
        assert named <= training
        assert not any(f"number {kind}" in example.prompt + example.answer for kind in ("validation", "test"))
    for prompt in corpus.rl:
        train = split.train[prompt.user_id]
        assert len(prompt.history) >= 4
        assert [*prompt.history, prompt.target] == train[: len(prompt.history) + 1]
