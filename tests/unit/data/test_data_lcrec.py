import json

import pytest

from gream import columns
from gream.data.lcrec import import_lcrec
from gream.errors import DataError

pytestmark = pytest.mark.unit

INTER = {"0": [1, 0, 1], "1": [0]}
ITEMS = {
    "0": {"title": "Nail &amp; Polish", "brand": "OPI", "categories": [["Beauty", "Nails"], ["Beauty", "Gifts"]]},
    "1": {"title": "", "brand": None, "categories": "Beauty,Hair", "description": "<p>For <b>dry</b> hair</p>"},
}


@pytest.fixture
def folder(tmp_path):
    def write(inter=INTER, items=ITEMS):
        for name, content in (("Beauty.inter.json", inter), ("Beauty.item.json", items)):
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


def test_sequences_keep_their_order_and_their_repeats(folder):
    catalog = import_lcrec(folder(), k=0)
    assert catalog.sequences() == {"0": ["1", "0", "1"], "1": ["0"]}
    assert catalog.interactions[columns.TIMESTAMP].to_list() == [0, 1, 2, 0]
    assert catalog.facts.ordinal_time
    assert not catalog.facts.exclude_seen
    assert catalog.facts.dataset == "Beauty"
    assert catalog.facts.skipped == {}


def test_texts_are_cleaned_and_paths_flattened(folder):
    catalog = import_lcrec(folder(), k=0)
    assert catalog.items.rows() == [
        ("0", "Nail & Polish", "", "OPI", ["Beauty", "Nails", "Gifts"]),
        ("1", "Item 1", "For dry hair", "", ["Beauty", "Hair"]),
    ]
    assert catalog.facts.untitled == 1


def test_texts_cut_within_a_character_are_read(folder):
    items = {"0": {"title": "Polish \ud83d", "categories": ["\ud83d"]}, "1": ITEMS["1"]}
    assert import_lcrec(folder(items=items), k=0).items.row(0) == ("0", "Polish \ufffd", "", "", ["\ufffd"])


@pytest.mark.parametrize(
    ("inter", "items", "message"),
    [
        ({"7": [0, 5]}, ITEMS, r"Beauty\.inter\.json: user '7' has item '5' at position 2, which Beauty\.item\.json"),
        (b'{"0": [1, 0', ITEMS, r"Beauty\.inter\.json line 1 column \d+ is not JSON"),
        (b'{"0": [1' + b"0" * 5_000 + b"]}", ITEMS, r"Beauty\.inter\.json has a number too long .*\(Exceeds the limit"),
        (
            b'{"0": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
            ITEMS,
            r"Beauty\.inter\.json has .*lists too deep",
        ),
        ({"0": [1], "u" * 257: [1]}, ITEMS, r"Beauty\.inter\.json: user 2 has 257 characters; an id has at most 256"),
        ({"0": [1, "i" * 257]}, ITEMS, r"Beauty\.inter\.json: user '0': item at position 2 has 257 characters"),
        (INTER, {"0": ITEMS["0"], "i" * 257: {}}, r"Beauty\.item\.json: item 2 has 257 characters"),
        ([[0]], ITEMS, r"Beauty\.inter\.json holds a list; it must be one JSON object"),
        ({"0": 1}, ITEMS, r"user '0' has a int; a list of item ids"),
        ({"0": [1], "u\ud83d": [1]}, ITEMS, r"Beauty\.inter\.json: user 2 is 'u\\ud83d', with half a character"),
        ({"0": [1, None]}, ITEMS, r"user '0': item at position 2 is None; a text that is not empty or a whole number"),
        ({"0": [1, True]}, ITEMS, r"user '0': item at position 2 is True; a text"),
        ({"0": [1], "": [0]}, ITEMS, r"Beauty\.inter\.json: user 2 is ''; a text that is not empty"),
        (INTER, {"": {"title": "x"}}, r"Beauty\.item\.json: item 1 is ''; a text that is not empty"),
        (b'{"0": [1, 0], "1": [0], "0": [0]}', ITEMS, r"Beauty\.inter\.json has '0' twice in one object\. Keep one"),
        (INTER, {"\udc00": {"title": "x"}}, r"Beauty\.item\.json: item 1 is '\\udc00', with half a character"),
        (INTER, {"0": "Polish"}, r"item '0' has a str; an object with a title"),
        (INTER, {"0": {"title": "x", "categories": 5}}, r"item '0': categories are int"),
        (INTER, b'{\n"0": {"title": "Caf\xe9"}}', r"Beauty\.item\.json line 2 is not UTF-8"),
    ],
)
def test_bad_files_are_named(folder, inter, items, message):
    with pytest.raises(DataError, match=message):
        import_lcrec(folder(inter, items), k=0)


def test_a_folder_holds_one_dataset_with_both_files(folder):
    path = folder()
    (path / "Toys.inter.json").write_text("{}")
    with pytest.raises(DataError, match=r"2 files \*\.inter\.json \(Beauty\.inter\.json, Toys\.inter\.json\)"):
        import_lcrec(path, k=0)
    (path / "Toys.inter.json").unlink()
    (path / "Beauty.item.json").unlink()
    with pytest.raises(DataError, match=r"has no Beauty\.item\.json beside it"):
        import_lcrec(path, k=0)
