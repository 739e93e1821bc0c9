"""A history is changed, and the recommendations with it."""

import pytest
from page_stub import CATALOGUE
from selenium.webdriver import Keys

pytestmark = pytest.mark.integration


def title(number):
    return CATALOGUE[f"m{number}"].title


def test_nothing_is_marked_before_something_changes(page):
    assert (page.marks("direct"), page.marks("reasoning")) == ({}, {})
    page.pick_user("cleo")
    page.until(lambda: title(4) in page.history())
    page.until_answered()
    assert (page.marks("direct"), page.marks("reasoning")) == ({}, {})  # Somebody else is no change.


def test_an_added_item_changes_the_ranking_and_the_differences_are_marked(page, stub):
    # Before, without Airplane: 2 4 7 10 12 1 6 8 9.
    page.add_item(title(3))
    assert page.history() == [title(3), title(0), title(5)]
    assert "added" in page.all("#history-list li")[0].text
    assert [request.history for request in stub.asked[-2:]] == [["m5", "m0", "m3"]] * 2
    assert page.titles("direct") == [title(number) for number in (6, 8, 1, 2, 4, 7, 9, 10, 11, 12)]
    assert page.marks("direct") == {
        title(6): "▲ 6",
        title(8): "▲ 6",
        title(1): "▲ 3",
        title(2): "▼ 3",
        title(4): "▼ 3",
        title(7): "▼ 3",
        title(9): "▲ 2",
        title(10): "▼ 4",
        title(11): "new",
        title(12): "▼ 5",
    }
    expected = "Since Airplane! (1980) was added: 1 new, 4 moved up, 5 moved down."
    assert page.text("#direct .since") == expected
    told = page.driver.find_element("css selector", "#direct [role=status]").get_attribute("textContent")
    assert told == f"direct: 10 items. {expected}"
    # The oldest film decides in reasoning mode, so there only the one that follows up is new.
    assert page.marks("reasoning") == {title(12): "new"}


def test_items_that_are_no_longer_recommended_are_named(page):
    page.click("#history-clear")
    page.until_answered()
    page.add_item(title(0))
    assert [name for name, mark in page.marks("direct").items() if mark == "new"] == [title(10), title(12)]
    assert page.text("#direct .dropped") == "No longer among them: Titanic (1997)"


def test_a_recommended_item_is_added_by_its_button(page):
    page.click("#direct .ranking li:first-child button")
    page.until_answered()
    assert page.history()[0] == title(2)
    assert title(2) not in page.titles("direct")
    # The focus stays where the work is.
    assert page.focused() == page.one("#direct .ranking li:first-child button")


def test_an_item_is_removed_and_the_changes_are_undone(page, stub):
    page.click("#history-list li:first-child button")
    page.until_answered()
    assert page.history() == [title(5)]
    assert page.text("#direct .since").startswith("Since Alien (1979) was removed:")
    assert [request.history for request in stub.asked[-2:]] == [["m5"], ["m5"]]
    page.click("#history-reset")
    page.until_answered()
    assert page.history() == [title(0), title(5)]
    assert {request.user_id for request in stub.asked[-2:]} == {"ann"}
    assert page.all("#history-reset") == []


def test_everything_is_within_reach_of_the_keyboard(page):
    page.driver.execute_script("document.querySelector('#user').focus()")
    reached = set()
    for _ in range(60):
        page.press(Keys.TAB)
        active = page.focused()
        reached.add(active.get_attribute("aria-label") or active.text or active.get_attribute("id"))
    expected = {"Show", "ann", "Clear", "item-query", f"Remove {title(0)}", title(5), f"Add {title(2)} to the history"}
    assert expected <= reached
