"""Whose history it is, and what it holds."""

import pytest
from page_stub import CATALOGUE
from selenium.webdriver import Keys

pytestmark = pytest.mark.integration


def test_it_begins_with_a_sample_user_and_offers_others(page):
    samples = page.all("#samples button")
    assert [sample.text for sample in samples][:3] == ["ann", "bob/1", "cleo"]
    assert [sample.get_attribute("aria-pressed") for sample in samples][:2] == ["true", "false"]
    assert page.one("#user").get_attribute("value") == "ann"


def test_a_history_is_shown_newest_first_with_its_tokens_and_days(page):
    assert page.history() == ["Alien (1979)", "Before Sunrise (1995)"]
    newest = page.all("#history-list li")[0]
    assert [chip.text for chip in newest.find_elements("css selector", ".chip")] == ["a1", "b1", "c1"]
    assert newest.find_element("css selector", "time").text == "1997-05-20"  # Day 10,001 since 1970.


def test_events_without_a_clock_are_shown_by_their_positions(blank, stub):
    stub.first_timestamp = 7
    blank.driver.get(stub.url)
    newest, oldest = blank.until(lambda: blank.all("#history-list .row-facts"))
    assert oldest.text.split()[3] == "7"
    assert newest.text.split()[3] == "86407"


def test_a_history_that_comes_late_is_joined_by_what_was_added_meanwhile(blank, stub):
    stub.slow = "ann"
    blank.driver.get(stub.url)
    blank.until_answered()
    blank.add_item("Airplane! (1980)")
    assert blank.history() == ["Airplane! (1980)"]
    stub.may_end.set()
    blank.until(lambda: blank.history() == ["Airplane! (1980)", "Alien (1979)", "Before Sunrise (1995)"])
    blank.until_answered()
    assert [request.history for request in stub.asked[-2:]] == [["m5", "m0", "m3"]] * 2
    blank.click("#history-reset")
    assert blank.history() == ["Alien (1979)", "Before Sunrise (1995)"]


def test_a_user_is_picked_by_a_click_or_by_their_id(page, stub):
    page.all("#samples button")[2].click()
    page.until(lambda: page.history() == ["Blade Runner (1982)", "Groundhog Day (1993)"])
    page.pick_user("bob/1")
    page.until(lambda: page.history() == ["gone", "Airplane! (1980)"])
    assert "not in this policy" in page.all("#history-list li")[0].text
    page.until_answered()
    assert {request.user_id for request in stub.asked[-2:]} == {"bob/1"}
    assert "Left out, because the policy does not know them: gone." in page.text("#limits")


def test_ids_are_completed_while_one_is_typed(page):
    field = page.one("#user")
    field.clear()
    field.send_keys("cl")
    options = "return [...document.querySelectorAll('#user-ids option')].map(option => option.value)"
    page.until(lambda: page.driver.execute_script(options) == ["cleo"])


def test_where_no_users_are_listed_any_id_can_be_typed(blank, stub):
    stub.lists_users = False
    blank.driver.get(stub.url)
    blank.until_answered()
    assert (blank.all("#samples"), blank.history()) == ([], [])
    # Until somebody is picked, it shows what people begin with.
    assert blank.titles("direct") == [item.title for item in CATALOGUE.values()][:10]
    assert {tuple(request.history) for request in stub.asked} == {()}
    blank.pick_user("ann")
    blank.until(lambda: blank.history() == ["Alien (1979)", "Before Sunrise (1995)"])


def test_an_unknown_user_is_said_to_be_unknown_and_still_answered(page):
    page.pick_user("nobody")
    page.until(lambda: "The feature store has no such user. unknown_user" in page.text("#history [role=alert]"))
    page.until(lambda: page.titles("direct")[0] == "Alien (1979)")
    assert page.history() == []


def test_an_answer_about_somebody_else_comes_too_late(page, stub):
    stub.held = {"ann"}
    page.pick_user("ann")
    page.until(lambda: "evidence: [Before Su" in page.text("#chain-text"))
    page.pick_user("cleo")
    cited = "Groundhog Day (1993) Blade Runner (1982) Blade Runner (1982)"
    page.until(lambda: page.text(".citation") == cited)
    rankings = page.titles("direct"), page.titles("reasoning")
    stub.may_end.set()
    page.until(lambda: stub.ended == ["ann", "cleo", "ann"])
    page.search_item("city")  # The browser, too, has had the time to see it.
    assert page.text(".citation") == cited
    assert (page.titles("direct"), page.titles("reasoning")) == rankings


def test_items_are_found_by_their_titles_and_picked_with_the_keyboard(page):
    assert page.search_item("city") == ["Dark City (1998)"]
    page.press(Keys.ESCAPE)
    assert page.all("#item-options") == []
    page.one("#item-query").clear()
    assert page.search_item("(1997)") == ["Contact (1997)", "Titanic (1997)"]
    assert page.text("#item-options [aria-selected=true] .title") == "Contact (1997)"
    page.press(Keys.ARROW_DOWN)
    chosen = page.one("#item-options [aria-selected=true]")
    assert page.one("#item-query").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    page.press(Keys.ENTER)
    assert page.history() == ["Titanic (1997)", "Alien (1979)", "Before Sunrise (1995)"]
    assert page.focused() == page.one("#item-query")  # Ready for the next one.


def test_enter_picks_nothing_that_another_query_found(page, stub):
    stub.slow = "(1997) con"
    page.search_item("(1997)")
    page.one("#item-query").send_keys(" con", Keys.ENTER)
    assert page.history() == ["Alien (1979)", "Before Sunrise (1995)"]
    assert page.one("#item-query").get_attribute("aria-activedescendant") is None
    stub.may_end.set()
    page.until(lambda: page.text("#item-options .title") == "Contact (1997)")
    page.press(Keys.ENTER)
    assert page.history()[0] == "Contact (1997)"


def test_an_item_can_be_picked_with_the_pointer(page):
    page.search_item("(1997)")
    page.all("#item-options li")[0].click()
    assert page.history()[0] == "Contact (1997)"


def test_a_search_without_result_says_so(page):
    page.one("#item-query").send_keys("zzz")
    page.until(lambda: page.text("#item-status") == "No item has these words in its title.")
    assert page.one("#item-query").get_attribute("aria-expanded") == "false"
