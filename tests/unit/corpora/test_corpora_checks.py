import pytest

from gream.corpora.checks import Chain, chain_fault, citations, mentions_title, title_forms

pytestmark = pytest.mark.unit


def chain_of(evidence, preferences="dark films", intent="something tense", relevant="", **more):
    return Chain(evidence, preferences, intent, relevant, **more)


@pytest.fixture
def history(films):
    return [films["alien"], films["blade"]]


def test_a_chain_that_cites_its_history_passes(films, history):
    chain = chain_of(f"{films['alien'].index} dread", relevant=films["blade"].index)
    assert chain_fault(chain, history, films["heat"]) is None


@pytest.mark.parametrize("words", ["they want Heat", "HEAT!", "like 'heat (1995)', perhaps", "Héat"])
@pytest.mark.parametrize("stage", ["evidence", "preferences", "intent", "relevant"])
def test_a_planted_title_is_caught_in_every_stage(films, history, words, stage):
    clean = {"evidence": films["alien"].index, "preferences": "", "intent": "", "relevant": ""}
    planted = {**clean, stage: f"{clean[stage]} {words}"}
    assert chain_fault(Chain(**clean), history, films["heat"]) is None
    assert chain_fault(Chain(**planted), history, films["heat"]) == "leaks_title"


def test_a_planted_index_is_caught(films, history):
    chain = chain_of(films["alien"].index, intent=f"maybe {films['heat'].index}")
    assert chain_fault(chain, history, films["heat"]) == "leaks_index"


def test_a_target_that_the_history_holds_may_be_cited(films, history):
    assert chain_fault(chain_of(films["alien"].index), history, films["alien"]) is None


def test_citing_nothing_or_something_else_is_caught(films, history):
    assert chain_fault(chain_of("they like films"), history, films["heat"]) == "cites_nothing"
    foreign = chain_of(films["alien"].index, relevant=films["annie"].index)
    assert chain_fault(foreign, history, films["heat"]) == "cites_outside_history"
    assert chain_fault(chain_of("<|a_1|>"), history, films["heat"]) == "cites_outside_history"
    assert chain_fault(chain_of(films["alien"].index, strays=1), history, films["heat"]) == "cites_outside_history"


def test_citations_begin_with_a_first_level_token():
    assert citations("<|b_1|> <|a_1|><|b_2|>,<|a_2|>") == [("<|b_1|>",), ("<|a_1|>", "<|b_2|>"), ("<|a_2|>",)]


@pytest.mark.parametrize(
    ("title", "forms"),
    [
        ("Alien (1979)", ("alien 1979", "alien")),
        ("Her (2013)", ("her 2013",)),
        ("Thing, The (1982)", ("thing the 1982", "thing the", "thing")),
        ("Soap [Travel Size] (2-Pack)", ("soap travel size 2 pack", "soap travel size", "soap")),
        (
            "OPI Nail Lacquer, Red, 5 Ounce",
            ("opi nail lacquer red 5 ounce", "opi nail lacquer red", "opi nail lacquer"),
        ),
        ("Soap, Red", ("soap red",)),
        ("Heat", ("heat",)),
        ("", ()),
    ],
)
def test_title_forms(title, forms):
    assert title_forms(title) == forms


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("他们想看异形", "异形"),
        ("他们想看异形。", "异形 (1979)"),
        ("기생충을 보고", "기생충"),
        ("次は七人の侍です", "七人の侍 (1954)"),
        ("อยากดูองค์บากอีก", "องค์บาก"),
    ],
)
def test_titles_are_found_where_words_are_not_set_apart(text, title):
    assert mentions_title(text, title)
    assert not mentions_title(text, f"{title}{title}")


def test_an_endless_title_is_looked_for_in_a_few_forms_by_how_it_begins():
    title = "usb cable fast" + ", x" * 30_000
    forms = title_forms(title)
    # Of 1,000 characters 328 whole parts are left; then the shortest, of 14, 13 ... parts.
    assert forms == (f"usb cable fast{' x' * 328}", *(f"usb cable fast{' x' * parts}" for parts in range(14, -1, -1)))
    assert mentions_title("they want a USB cable, fast", title)
    assert not mentions_title("a fast cable", title)


def test_an_endless_title_in_one_word_begins_with_its_letters():
    assert title_forms("x" * 100_000) == ("x" * 1_000,)


def test_of_an_endless_title_its_first_word_alone_is_no_title():
    """Where the one space of its beginning stands early, the rest is kept, cut in a word."""
    assert title_forms("New " + ",".join(["cream"] * 300))[0].startswith("new cream cream")
    assert not mentions_title("a new look", "New " + ",".join(["cream"] * 300))
    assert not mentions_title("the user wants a gentle cleanser", "A " + "x" * 1_200)


def test_titles_match_whole_words_only():
    assert not mentions_title("aliens and alienation", "Alien (1979)")
    assert mentions_title("an ALIEN, again", "Alien (1979)")
    assert not mentions_title("anything", "")
