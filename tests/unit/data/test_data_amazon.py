import gzip
import json

import pytest

from gream import columns
from gream.data.amazon import import_amazon
from gream.errors import DataError

pytestmark = pytest.mark.unit


def review(user, asin, time, **fields):
    return {"reviewerID": user, "asin": asin, "unixReviewTime": time, "overall": 5.0, **fields}


REVIEWS = [
    review("A1", "B2", 200, summary="Great!", reviewText="Smells &quot;fine&quot;<br />to me"),
    review("A1", "B1", 100, summary="", reviewText="Good", overall=3.0),
    review("A2", "B1", 100),
    review("A2", "B2", 100, summary="Meh"),
]
META = [
    {"asin": "B1", "title": "It's a <b>Comb</b>", "brand": "Kent", "categories": [["Beauty", "Hair"]]},
    {"asin": "B2", "description": "Soap", "categories": [["Beauty", "Bath"], ["Beauty", "Gifts"]]},
    {"asin": "B9", "title": "Never reviewed"},
]


@pytest.fixture
def dump(tmp_path):
    def write(reviews=REVIEWS, meta=META, *, literal=False, k=0):
        paths = [tmp_path / "reviews_Beauty_5.json.gz", tmp_path / "meta_Beauty.json.gz"]
        for path, rows, spell in ((paths[0], reviews, json.dumps), (paths[1], meta, repr if literal else json.dumps)):
            lines = rows if isinstance(rows, bytes) else "".join(f"{spell(row)}\n" for row in rows).encode()
            path.write_bytes(gzip.compress(lines))
        return import_amazon(*paths, k=k)

    return write


@pytest.mark.parametrize("literal", [False, True], ids=["json-2018", "python-literal-2014"])
def test_both_years_give_the_same_catalog(dump, literal):
    catalog = dump(literal=literal)
    assert catalog.sequences() == {"A1": ["B1", "B2"], "A2": ["B1", "B2"]}
    assert catalog.items.rows() == [
        ("B1", "It's a Comb", "", "Kent", ["Beauty", "Hair"]),
        ("B2", "Item B2", "Soap", "", ["Beauty", "Bath", "Gifts"]),
    ]
    assert catalog.interactions[columns.RATING].to_list() == [3.0, 5.0, 5.0, 5.0]
    assert catalog.interactions[columns.REVIEW].to_list() == ["Good", 'Great!\nSmells "fine" to me', "", "Meh"]
    assert (catalog.facts.dataset, catalog.facts.exclude_seen, catalog.facts.untitled) == ("Beauty", False, 1)
    assert catalog.facts.skipped == {}


def test_many_reviews_are_read_in_chunks_that_fit_together(dump, monkeypatch):
    whole = dump()
    monkeypatch.setattr("gream.data.amazon._CHUNK", 3)
    assert dump().interactions.equals(whole.interactions)
    assert whole.interactions.height == 4


def test_2018_fields_as_lists_and_titles_scraped_from_scripts(dump):
    meta = [
        {"asin": "B1", "title": "var aPageStart = (new Date()).getTime();", "category": ["Beauty", "Hair"]},
        {"asin": "B2", "title": "Soap", "description": ["Mild.", "", "For <i>daily</i> use."]},
    ]
    catalog = dump(meta=meta)
    assert catalog.items.rows() == [
        ("B1", "Item B1", "", "", ["Beauty", "Hair"]),
        ("B2", "Soap", "Mild. For daily use.", "", []),
    ]


@pytest.mark.parametrize("literal", [False, True], ids=["json-2018", "python-literal-2014"])
def test_texts_cut_within_a_character_are_read(dump, literal):
    reviews = [review("A1", "B1", 100, summary="Wow \ud83d"), *REVIEWS[1:]]
    meta = [{"asin": "B1", "title": "Comb \ud83d", "brand": "\ude00", "categories": [["Hair \ud83d"]]}, META[1]]
    catalog = dump(reviews, meta, literal=literal)
    assert catalog.items.row(0) == ("B1", "Comb \ufffd", "", "\ufffd", ["Hair \ufffd"])
    assert "Wow \ufffd" in catalog.interactions[columns.REVIEW].to_list()


def test_skips_are_counted_by_reason(dump):
    reviews = [*REVIEWS, REVIEWS[2], review("A1", "B3", 300), review("A3", "B1", 50), review("A2", "B3", 300)]
    catalog = dump(reviews, [*META, {"asin": "B1", "title": "Second record"}], k=2)
    # A3 has one event; B3 has two, so it outlives the first k-core, but nothing describes it.
    assert catalog.facts.skipped == {
        "duplicate_event": 1,
        "duplicate_metadata": 1,
        "item_without_metadata": 2,
        "k_core": 1,
    }
    assert catalog.sequences() == {"A1": ["B1", "B2"], "A2": ["B1", "B2"]}
    assert catalog.items[columns.TITLE][0] == "It's a Comb"


def test_k_core_is_taken_again_after_items_without_metadata(dump):
    # All users and items have two events at first; without B2, which nothing describes, A3 and A4 keep one each.
    reviews = [review(user, asin, 1) for user in ("A1", "A2") for asin in ("B1", "B4")]
    reviews += [review("A3", "B1", 1), review("A3", "B2", 1), review("A4", "B2", 1), review("A4", "B4", 1)]
    meta = [{"asin": asin, "title": asin} for asin in ("B1", "B4")]
    catalog = dump(reviews, meta, k=2)
    assert catalog.sequences() == {"A1": ["B1", "B4"], "A2": ["B1", "B4"]}
    assert catalog.facts.skipped == {"item_without_metadata": 2, "k_core": 2}


def lines(*rows):
    return b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize(
    ("reviews", "meta", "message"),
    [
        (
            lines(REVIEWS[0], b"{oops\n"),
            META,
            r"reviews_Beauty_5\.json\.gz line 2 is neither JSON nor a Python literal",
        ),
        (lines(REVIEWS[0], {"asin": "B1"}), META, r"reviews_Beauty_5\.json\.gz line 2 has no field 'reviewerID'"),
        (lines(review("A", "B1", 1, overall="good")), META, r"5\.json\.gz line 1: .*overall is not a number \("),
        (lines(review("A", "B1", 1, overall=10**400)), META, r"5\.json\.gz line 1: .*overall is not a number \("),
        (lines(review("A", "B" * 257, 1)), META, r"5\.json\.gz line 1: asin has 257 characters; an id has at most 256"),
        (lines([1, 2]), META, r"line 1 is a list; each line must be one record"),
        (lines(REVIEWS[0], b'{"reviewText": "Caf\xe9"}\n'), META, r"line 2 is not UTF-8 \(byte 0xe9 at position 20\)"),
        (
            lines(review("A", "B1", 1), review("A\ud83d", "B1", 1)),
            META,
            r"5\.json\.gz line 2: reviewerID is 'A\\ud83d', with",
        ),
        (
            lines(review("A", "B1", 1), review(None, "B1", 1)),
            META,
            r"line 2: reviewerID is None; a text that is not empty",
        ),
        (
            lines(review("", "B1", 1)),
            META,
            r"5\.json\.gz line 1: reviewerID is ''; a text that is not empty or a whole",
        ),
        (lines(review("A", False, 1)), META, r"reviews_Beauty_5\.json\.gz line 1: asin is False; a text that is not"),
        (lines(review("A", "\udc00", 1)), META, r"reviews_Beauty_5\.json\.gz line 1: asin is '\\udc00', with half"),
        (REVIEWS, lines({"title": "no id"}), r"meta_Beauty\.json\.gz line 1 has no field 'asin'"),
        (REVIEWS, lines(b"{'asin': 'B1', 'x': __import__('os')}\n"), r"meta_Beauty\.json\.gz line 1 is neither"),
        (
            REVIEWS,
            lines(b"{'asin': 'B1', 'x': " + b"-" * 100_000 + b"1}\n"),
            r"line 1 is neither .*\(nested too deeply",
        ),
        (REVIEWS, [META[2]], r"meta_Beauty\.json\.gz describes none of the 2 items in reviews_Beauty_5"),
        (b"", META, r"reviews_Beauty_5\.json\.gz holds no reviews"),
    ],
)
def test_bad_lines_are_named(dump, reviews, meta, message):
    with pytest.raises(DataError, match=message):
        dump(reviews, meta)


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("-5", r"line 2 has the timestamp -5; a number from 0 up is needed"),
        ("1400000000000", r"line 2 has 1400000000000 \(milliseconds\); rows unlike the first: 1 of 2"),
        ("9999999999", r"line 2 has the timestamp 9999999999, which is still to come"),
        ("true", r"line 2: unixReviewTime is True; a text that is not empty or a whole number is needed"),
        ("1.9", r"line 2: unixReviewTime is 1\.9; a text"),
        ("Infinity", r"line 2: unixReviewTime is inf; a text"),
        ("null", r"line 2: unixReviewTime is None; a text"),
        (f"1{'0' * 30}", r"line 2 has 1e\+30 \(nanoseconds\)"),
        ('"noon"', r"line 2 has 'noon'\. Write all of them in one form"),
    ],
)
def test_times_are_held_to_the_policy_of_all_imports(dump, time, message):
    second = lines(review("A2", "B1", 0)).replace(b'"unixReviewTime": 0', f'"unixReviewTime": {time}'.encode())
    with pytest.raises(DataError, match=rf"reviews_Beauty_5\.json\.gz {message}"):
        dump(lines(review("A1", "B1", 1_400_000_000)) + second)


@pytest.mark.parametrize(("written", "ordinal"), [([1_400_000_000, "1400000060"], False), ([7, 8], True)])
def test_times_are_seconds_or_positions(dump, written, ordinal):
    catalog = dump([review("A", "B1", time) for time in written])
    assert catalog.interactions[columns.TIMESTAMP].to_list() == [int(time) for time in written]
    assert catalog.facts.ordinal_time is ordinal


def test_a_gzip_file_cut_short_and_one_that_is_none(dump, tmp_path):
    dump()
    reviews, metadata = tmp_path / "reviews_Beauty_5.json.gz", tmp_path / "meta_Beauty.json.gz"
    whole = reviews.read_bytes()
    reviews.write_bytes(whole[:-12])
    with pytest.raises(DataError, match=r"reviews_Beauty_5\.json\.gz is not a whole gzip file: it breaks after line"):
        import_amazon(reviews, metadata, k=0)
    reviews.write_bytes(b"plain text\n")
    with pytest.raises(DataError, match=r"not a whole gzip file: it breaks after line 0"):
        import_amazon(reviews, metadata, k=0)
    reviews.write_bytes(whole[:20] + bytes(8) + whole[28:])
    with pytest.raises(DataError, match="not a whole gzip file"):
        import_amazon(reviews, metadata, k=0)
