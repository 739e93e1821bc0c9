from datetime import datetime

import polars as pl
import pytest
from pydantic import ValidationError

from gream import columns
from gream.data.tables import ColumnMapping, import_tables, read_items
from gream.errors import DataError
from gream.profile_files import load_profile
from serving.contracts import FeedbackEvent

pytestmark = pytest.mark.unit

EVENTS = "user_id,item_id,timestamp\nu1,007,1700000100\nu1,8,1700000000\nu2,8,1700000000\n"
ITEMS = "item_id,title\n007,Pen\n8,Ink\n"


@pytest.fixture
def shop(tmp_path):
    folder = tmp_path / "stationer"
    folder.mkdir()

    def write(events=EVENTS, items=ITEMS, *, suffix=".csv", k=0, mapping=None):
        paths = [folder / f"interactions{suffix}", folder / f"items{suffix}"]
        for path, content in zip(paths, (events, items), strict=True):
            if isinstance(content, pl.DataFrame):
                content.write_parquet(path)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return import_tables(*paths, k=k, mapping=mapping)

    return write


def test_ids_stay_texts_and_events_come_in_time_order(shop):
    catalog = shop()
    assert catalog.sequences() == {"u1": ["8", "007"], "u2": ["8"]}
    assert catalog.facts.dataset == "stationer"
    assert catalog.facts.exclude_seen is False
    assert catalog.items.columns == ["item_id", "title", "description", "brand", "categories"]
    assert catalog.items.row(0) == ("007", "Pen", "", "", [])


def test_tsv_with_a_byte_order_mark_and_a_quoted_line_break(shop):
    items = '\ufeffitem_id\ttitle\n007\t"Fountain\n<b>pen</b> &amp; case"\n8\tInk\n'
    catalog = shop(EVENTS.replace(",", "\t"), items, suffix=".tsv")
    assert catalog.items[columns.TITLE].to_list() == ["Fountain pen & case", "Ink"]


def test_parquet_with_own_types_and_names(shop):
    events = pl.DataFrame(
        {
            "customer": [1, 1],
            "sku": [10, 20],
            "when": [datetime(2024, 1, 2), datetime(2024, 1, 1)],
            "stars": [4, None],
            "said": ["good", None],
        }
    )
    items = pl.DataFrame({"asin": [10, 20], "name": ["Pen", "Ink"], "tree": [["Office", "Pens", "Office"], None]})
    mapping = ColumnMapping(
        user_id="customer",
        item_id="sku",
        item_id_in_items="asin",
        timestamp="when",
        rating="stars",
        review="said",
        title="name",
        categories="tree",
    )
    catalog = shop(events, items, suffix=".parquet", mapping=mapping)
    assert catalog.interactions.rows() == [
        ("1", "20", 1_704_067_200, None, ""),
        ("1", "10", 1_704_153_600, 4.0, "good"),
    ]
    assert catalog.items[columns.CATEGORIES].to_list() == [["Office", "Pens"], []]


@pytest.mark.parametrize("text", ["Office | Pens", "Office > Pens", "Office;Pens", "Office>Pens|Office"])
def test_categories_in_one_text(shop, text):
    catalog = shop(items=f"item_id,title,categories\n007,Pen,{text}\n8,Ink,\n")
    assert catalog.items[columns.CATEGORIES].to_list() == [["Office", "Pens"], []]


def test_milliseconds_order_events_within_one_second(shop):
    catalog = shop("user_id,item_id,timestamp\nu,8,1700000000900\nu,007,1700000000100\n")
    assert catalog.sequences() == {"u": ["007", "8"]}
    assert catalog.interactions[columns.TIMESTAMP].to_list() == [1_700_000_000] * 2


def test_ties_keep_the_order_of_the_file(shop):
    catalog = shop("user_id,item_id,timestamp\nu,8,1700000000\nu,007,1700000000\n")
    assert catalog.sequences() == {"u": ["8", "007"]}


def test_duplicates_are_counted_untitled_items_named_and_unused_items_kept(shop):
    catalog = shop(EVENTS + "u2,8,1700000000\n", ITEMS + "9,  \n")
    assert catalog.interactions.height == 3
    assert catalog.facts.skipped == {"duplicate_event": 1}
    assert catalog.facts.untitled == 1
    assert catalog.items.filter(pl.col(columns.ITEM) == "9")[columns.TITLE].item() == "Item 9"


def test_k_core_takes_unused_items_out_and_counts_them(shop):
    events = "user_id,item_id,timestamp\n" + "".join(
        f"{user},{item},{time}\n" for time, (user, item) in enumerate(["a8", "a7", "b8", "b7", "c8"])
    )
    catalog = shop(events, "item_id,title\n9,Cap\n8,Ink\n7,Pen\n", k=2)
    assert catalog.item_ids == ["8", "7"]
    assert catalog.facts.skipped == {"k_core": 1, "k_core_items": 1}


@pytest.mark.parametrize(
    ("events", "items", "message"),
    [
        (
            "user_id,item,timestamp\nu,8,1\n",
            ITEMS,
            r"interactions\.csv has no column 'item_id'.* user_id, item, timest",
        ),
        (EVENTS, "item_id,name\n8,Ink\n", r"items\.csv has no column 'title' for title"),
        (EVENTS + "u3,404,1700000000\n", ITEMS, r"interactions\.csv row 5 has item '404', which items\.csv does not"),
        (EVENTS, ITEMS + "8,Ink again\n", r"items\.csv row 4 repeats item '8' of .*items\.csv row 3"),
        (EVENTS + ",8,1700000000\n", ITEMS, r"interactions\.csv row 5 has no user_id"),
        (EVENTS + "u3,8\n", ITEMS, r"interactions\.csv row 5 has 2 fields, but the header has 3"),
        (EVENTS + "u3,8,\n", ITEMS, r"interactions\.csv row 5 has no timestamp"),
        (EVENTS + "\nu3,8,1700000000\n", ITEMS, r"interactions\.csv row 5 has 0 fields, but the header has 3"),
        (
            EVENTS,
            'item_id,title,brand\n007,"Pen\nand case",\n8,Ink\n',
            r"items\.csv row 3 has 2 fields, but the header",
        ),
        (EVENTS + "u3,8,1700000000000\n", ITEMS, r"interactions\.csv row 5 has 1700000000000 \(milliseconds\)"),
        (EVENTS + "u3,8,1700000000,x\n", ITEMS, r"interactions\.csv cannot be read \(found more fields"),
        (
            EVENTS + f"{'u' * 257},8,1700000000\n",
            ITEMS,
            r"interactions\.csv row 5 has 257 characters in its user_id; an",
        ),
        (EVENTS + f"u3,{'i' * 257},1700000000\n", ITEMS, r"interactions\.csv row 5 has 257 characters in its item_id"),
        (
            EVENTS,
            ITEMS + f"{'i' * 257},Cap\n",
            r"items\.csv row 4 has 257 characters in its item_id; an id has",
        ),
        ("user_id,item_id,timestamp\n", ITEMS, r"interactions\.csv has no rows"),
        ("", ITEMS, r"interactions\.csv is empty"),
        (EVENTS, ITEMS.encode() + b"9,Caf\xe9\n", r"items\.csv line 4 is not UTF-8 \(byte 0xe9 at position 6\)"),
        (EVENTS, ITEMS.encode("utf-16"), r"items\.csv line 1 is not UTF-8"),
        (
            EVENTS.replace("timestamp", "timestamp,rating").replace("00\n", "00,ok\n"),
            ITEMS,
            r"row 2 has the rating 'ok'",
        ),
    ],
)
def test_bad_rows_are_named(shop, events, items, message):
    with pytest.raises(DataError, match=message):
        shop(events, items)


def test_the_longest_ids_that_serving_takes_are_those_that_are_imported(shop):
    user, item = "ü" * 256, "長" * 256
    catalog = shop(EVENTS + f"{user},{item},1700000000\n", ITEMS + f"{item},Cap\n")
    clicked = {"event_id": "e", "user_id": user, "item_id": item, "kind": "click", "timestamp": 1_700_000_000}
    assert catalog.sequences()[FeedbackEvent(**clicked).user_id] == [FeedbackEvent(**clicked).item_id]
    for name in ("user_id", "item_id"):
        with pytest.raises(ValidationError, match=name):
            FeedbackEvent(**{**clicked, name: "x" * 257})


@pytest.mark.parametrize(
    ("events", "items", "field"),
    [
        (EVENTS.replace("timestamp", "when"), ITEMS, "timestamp"),
        (EVENTS, ITEMS.replace("item_id", "sku"), "item_id_in_items"),
        (EVENTS, ITEMS.replace("title", "name"), "title"),
    ],
)
def test_a_column_of_another_name_comes_with_the_setting_that_takes_it(shop, events, items, field):
    with pytest.raises(DataError) as caught:
        shop(events, items)
    assert str(caught.value).endswith(f"""Rename it, or name it: --set 'data.columns={{{field} = "NAME"}}'.""")
    load_profile("laptop", [f'data.columns={{{field} = "NAME"}}'])


def test_the_setting_for_a_second_column_keeps_the_first(shop):
    theirs = EVENTS.replace("timestamp", "when").replace("user_id", "customer")
    with pytest.raises(DataError) as caught:
        shop(theirs, mapping=ColumnMapping(user_id="customer"))
    assert str(caught.value).endswith("""--set 'data.columns={user_id = "customer", timestamp = "NAME"}'.""")


def test_where_no_mapping_can_be_given_none_is_offered(tmp_path):
    (tmp_path / "items.csv").write_text("sku,title\n8,Ink\n")
    with pytest.raises(DataError, match=r"has no column 'item_id' .*; its columns are sku, title\. Rename it\.$"):
        read_items(tmp_path / "items.csv")


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (['1\tMonitor 24" black', "2\tLamp", '3\tCable 3" red'], 2),
        (["1\tLamp", '2\t"Pen\nand ""case"""', '3\t5" x 7"', '4\tCable 3"', '5\t"Ink"'], 6),
        (["1\tLamp", '2\t"Pen', "3\tInk"], 3),
        (["1\tLamp", '2\t"Pen" and case', "3\tInk"], 3),
        (["1\tLamp"] * 10 + ['2\tCable 3"'] + ["1\tLamp"] * 40_000 + ['2\tCable 3"'] + ["1\tLamp"] * 9_000, 12),
    ],
    ids=["two bare quotes", "after whole quotes", "never closed", "closed too early", "far apart"],
)
@pytest.mark.parametrize(("suffix", "mark", "end"), [(".tsv", "\t", "\n"), (".csv", ",", "\r\n")])
def test_the_first_unmatched_quote_is_named_with_its_line(tmp_path, lines, line, suffix, mark, end):
    file = tmp_path / f"items{suffix}"
    file.write_bytes(end.join(["\ufeffitem_id\ttitle", *lines, ""]).replace("\t", mark).encode())
    with pytest.raises(
        DataError, match=rf"items{suffix} cannot be read \(.+\)\. Line {line} has the first unmatched quote: "
    ):
        read_items(file)


@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ";"), (".csv", "\t"), (".tsv", ",")])
def test_other_separators_are_named(shop, suffix, mark):
    with pytest.raises(DataError, match=r"has one column, 'user_id.+timestamp': separate fields by commas in a"):
        shop(EVENTS.replace(",", mark), ITEMS.replace(",", mark), suffix=suffix)


def test_blank_lines_at_the_end_are_no_rows(shop):
    catalog = shop(EVENTS + "\n\n", "item_id,title,brand\r\n007,Pen,\r\n8,Ink,Parker\r\n\r\n")
    assert catalog.interactions.height == 3
    assert catalog.items[columns.BRAND].to_list() == ["", "Parker"]


def test_a_text_longer_than_a_csv_reader_takes_by_default_is_read(shop):
    catalog = shop(items=f"item_id,title,description,brand\n007,Pen,{'long ' * 40_000},\n8,Ink,,\n")
    assert len(catalog.items[columns.DESCRIPTION][0]) == 199_999


def test_a_mapped_column_must_exist_even_if_it_is_optional(shop):
    with pytest.raises(DataError, match=r"items\.csv has no column 'maker' for brand"):
        shop(mapping=ColumnMapping(brand="maker"))


def test_ids_as_floats_are_refused_because_they_would_match_nothing(shop):
    events = pl.DataFrame({"user_id": ["u"], "item_id": [8.0], "timestamp": [1_700_000_000]})
    with pytest.raises(DataError, match="item_id has type Float64; ids must be texts or whole numbers"):
        shop(events, pl.DataFrame({"item_id": [8], "title": ["Ink"]}), suffix=".parquet")


def test_a_damaged_parquet_file_is_named(shop):
    with pytest.raises(DataError, match=r"interactions\.parquet cannot be read"):
        shop(b"PAR1 and then nothing", pl.DataFrame({"item_id": ["8"], "title": ["Ink"]}), suffix=".parquet")
