"""Columns of the feature tables where a denominator is no 1, nor the same for all, by hand."""

import math

import pytest

from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.features import feature_tables
from gream.monitoring.request_log import RequestLog

pytestmark = pytest.mark.unit

START = 20_000 * 86_400


@pytest.fixture
def tables(tmp_path, served, request_row):
    """Of one request of each user, who is named by their hash."""

    def tables(**requests):
        RequestLog(tmp_path).write(request_row(user, user=user, **changes) for user, changes in requests.items())
        return feature_tables(read_evidence(tmp_path, Window(START, START + 3_600), 600, "a secret"), served)

    return tables


def test_the_probabilities_of_a_list_are_even_among_themselves_whatever_they_sum_to(tables):
    requests = tables(u={"scores": (math.log(0.2), math.log(0.1), math.log(0.1))})["requests"]
    assert requests["list_probability"].to_list() == pytest.approx([0.4])
    assert requests["list_entropy"].to_list() == pytest.approx([1.5 * math.log(2) / math.log(3)])  # Of 1/2, 1/4, 1/4.


def test_an_overlap_is_a_share_of_the_users_own_list(tables):
    lists = {"a": ("m0", "m1", "m2"), "b": ("m2", "m3"), "c": ("m3", "m4", "m5")}
    shown = tables(**{user: {"items": items, "scores": (-1.0,) * len(items)} for user, items in lists.items()})
    assert shown["lists"].sort("user")["list_overlap"].to_list() == [pytest.approx(1 / 3), pytest.approx(1 / 2), None]
