"""The verdict's page."""

import re
from dataclasses import replace

import pytest
from promotion_evidence import BASE, SETTINGS, hold_out, judge

from gream.promotion.hold_out import NEW_ITEMS
from gream.promotion.verdict_report import render_verdict

pytestmark = pytest.mark.unit


def test_the_page_needs_nothing_else():
    html = render_verdict(judge())
    assert not re.search(r"""(?:src|href|@import|url\()""", html)
    assert "http" not in html
    assert "<script" not in html


def test_the_page_says_everything_that_the_record_says():
    verdict = judge(0.5 * BASE, legal_item_share=None)
    html = render_verdict(verdict)
    assert '<h1 class="failed">Refused</h1>' in html
    for words in (
        "a" * 64,
        "b" * 64,
        "2026-11-25 08:00:00 UTC",
        "400 users held out",
        "95% confidence",
        *verdict.reasons,
    ):
        assert words.replace("'", "&#39;") in html
    assert html.count('class="missing"') == 1
    assert html.count('<div class="track">') == 4


def test_an_accepted_one_and_one_without_comparisons():
    assert '<h1 class="passed">Accepted</h1>' in render_verdict(judge())
    assert "challenger minus champion" not in render_verdict(judge(champion=None))


def test_texts_are_escaped():
    hostile = "<b>new</b>"
    held = hold_out()
    held = replace(held, slices={**held.slices, hostile: held.slices[NEW_ITEMS]})
    html = render_verdict(judge(held=held, settings_=SETTINGS.model_copy(update={"guards": (hostile,)})))
    assert "<b>" not in html.lower()
    assert "&lt;b&gt;new&lt;/b&gt;" in html.lower()
