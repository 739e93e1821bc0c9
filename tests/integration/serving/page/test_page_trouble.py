"""Answers that are less than what was asked for, and none at all."""

import pytest
from page_stub import TroubleError

pytestmark = pytest.mark.integration

OVERLOADED = TroubleError(503, "engine_overloaded", "too many requests wait for the policy engine.")


def test_a_degraded_answer_says_so_until_it_is_whole_again(blank, stub):
    stub.features_down = True
    blank.driver.get(stub.url)
    blank.until_answered()
    banner = blank.until(lambda: blank.text("#limits"))
    assert "Degraded." in banner
    assert "features_unavailable" in banner
    assert blank.titles("direct")[0] == "Alien (1979)"  # What people begin with.
    blank.until(lambda: "The feature store does not answer now." in blank.text("#history [role=alert]"))
    stub.features_down = False
    blank.click("#history-notice button")
    blank.until(lambda: blank.history() == ["Alien (1979)", "Before Sunrise (1995)"])
    blank.until(lambda: blank.all("#limits > *") == [])


def test_an_error_is_told_and_can_be_tried_again(blank, stub):
    stub.trouble["direct"] = OVERLOADED
    blank.driver.get(stub.url)
    alert = blank.until(lambda: blank.text("#direct [role=alert]"))
    assert alert == "Too many requests wait for the policy engine. engine_overloaded · request req-1"
    blank.until(lambda: len(blank.titles("reasoning")) == 10)  # The other mode does not mind.
    stub.trouble.clear()
    blank.click("#direct .notices button")
    blank.until(lambda: len(blank.titles("direct")) == 10)
    assert blank.all("#direct [role=alert]") == []


def test_after_an_error_the_older_ranking_is_still_what_it_is_compared_with(page, stub):
    stub.trouble["direct"] = OVERLOADED
    page.add_item("Airplane! (1980)")
    assert "stale" in page.one("#direct").get_attribute("class")
    stub.trouble.clear()
    page.click("#direct .notices button")
    page.until_answered()
    expected = "Since Airplane! (1980) was added: 1 new, 4 moved up, 5 moved down."
    assert page.text("#direct .since") == expected


def test_no_ranking_of_somebody_else_is_left_beside_an_error(page, stub):
    stub.trouble |= {"direct": OVERLOADED, "reasoning": OVERLOADED}
    page.pick_user("cleo")
    page.until(lambda: len(page.all("#rankings [role=alert]")) == 2)
    assert (page.titles("direct"), page.titles("reasoning"), page.all(".citation")) == ([], [], [])


def test_a_chain_that_breaks_off_is_an_error(blank, stub):
    stub.breaks_off = True
    blank.driver.get(stub.url)
    blank.until(lambda: "The answer broke off before its end." in blank.text("#reasoning [role=alert]"))
    assert blank.text("#chain-text") == "There is no chain, because the answer failed."


def test_a_server_that_is_gone_is_an_error(page, stub):
    stub.shutdown()
    stub.server_close()
    page.click("#history-clear")
    page.until(lambda: "The server does not answer. unreachable" in page.text("#direct [role=alert]"))


def test_a_key_is_asked_for_where_the_server_wants_one(blank, stub):
    stub.key = "sesame"
    blank.driver.get(stub.url)
    blank.until(lambda: blank.all("#key-form"))
    blank.one("#key").send_keys("sesame\n")
    blank.until(lambda: len(blank.titles("reasoning")) == 10)
    assert blank.all("#key-form") == []
    assert blank.history() == ["Alien (1979)", "Before Sunrise (1995)"]
