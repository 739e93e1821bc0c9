"""The catalogue now, beside the one that is served."""

import numpy as np
import polars as pl
import pytest

from gream.data.catalog import ITEM_SCHEMA
from gream.errors import DataError
from gream.monitoring.catalogue import CatalogueLimits, count_catalogue

pytestmark = pytest.mark.unit

CODES = np.array([[0, 0], [0, 1], [1, 0], [1, 0]])
LONG = "A film about a film about a film, with much to say of each of them and more."


def items(descriptions):
    rows = [(f"m{number}", "Film", text, "", ["Drama"] if text else []) for number, text in enumerate(descriptions)]
    return pl.DataFrame(rows, schema=ITEM_SCHEMA, orient="row")


def counts(table, served, codes=CODES, limits=CatalogueLimits()):  # noqa: B008 - it cannot change.
    return {one.name: one for one in count_catalogue(table, served, codes, limits)}


def test_shares_by_hand():
    found = counts(items([LONG, LONG, "", LONG]), {"m0", "m1"})
    assert found["new_items"].value == 0.5  # m2 and m3
    assert found["collisions"].value == 0.5  # the last two codes
    assert found["bare_texts"].value == 0.5  # of the two new ones
    assert all(one.alarm for one in found.values())


def test_nothing_new():
    found = counts(items([LONG, LONG, "", LONG]), {"m0", "m1", "m2", "m3"}, codes=CODES[:3])
    assert {name: one.value for name, one in found.items()} == {"new_items": 0.0, "collisions": 0.0, "bare_texts": 0.0}
    assert not any(one.alarm for one in found.values())


def test_an_alarm_begins_at_its_limit():
    table = items([LONG] * 4)
    assert counts(table, {"m0", "m1", "m2"}, limits=CatalogueLimits(new_items=0.25))["new_items"].alarm
    assert not counts(table, {"m0", "m1", "m2"}, limits=CatalogueLimits(new_items=0.26))["new_items"].alarm


@pytest.mark.parametrize(("bare", "value", "alarm"), [(1, 0.1, False), (2, 0.2, False), (3, 0.3, True)])
def test_one_bare_text_among_few_new_items_is_no_alarm(bare, value, alarm):
    """Of 500 items, 10 new ones are worth a run; here there are 3."""
    table = items([LONG] * 497 + [""] * bare + [LONG] * (3 - bare))
    found = counts(table, {f"m{number}" for number in range(497)})["bare_texts"]
    assert (found.value, found.alarm) == (value, alarm)


def test_what_an_index_was_made_with_is_no_reason_to_make_it_anew():
    limits = CatalogueLimits(collisions=0.3)
    (collisions,) = [one for one in count_catalogue(items([LONG] * 4), set(), CODES, limits) if one.value == 0.5]
    assert (collisions.name, collisions.limit, collisions.alarm) == ("collisions", 0.3, True)
    for as_made, alarm in ((0.5, False), (0.41, False), (0.4, True)):  # A quarter more is too much.
        found = {one.name: one for one in count_catalogue(items([LONG] * 4), set(), CODES, limits, as_made)}
        assert found["collisions"].limit == pytest.approx(1.25 * as_made)
        assert found["collisions"].alarm == alarm


def test_an_empty_catalogue_is_refused():
    with pytest.raises(DataError, match="the catalogue has no items"):
        counts(items([]), set())
