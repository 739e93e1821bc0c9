"""What the policy answers: both modes, the chain and its citations, the tree."""

import pytest
from page_stub import CATALOGUE, HOSTILE
from selenium.webdriver import Keys

pytestmark = pytest.mark.integration


def words(element):
    """Its text on one line."""
    return " ".join(element.text.split())


def films(*numbers):
    return [CATALOGUE[f"m{number}"].title for number in numbers]


def test_both_modes_are_asked_and_shown_side_by_side(page, stub):
    assert page.titles("direct") == films(2, 4, 7, 10, 12, 1, 3, 6, 8, 9)
    assert page.titles("reasoning") == films(1, 9, 11, 2, 3, 4, 6, 7, 8, 10)
    assert sorted(request.mode for request in stub.asked) == ["direct", "reasoning"]
    left, right = page.one("#direct").rect, page.one("#reasoning").rect
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def test_an_item_has_its_share_its_reason_and_its_name(page):
    first, second = page.all("#direct .ranking li")[:2]
    assert first.find_element("css selector", ".share").text == "50.0%"
    assert second.find_element("css selector", ".share").text == "25.0%"
    assert "Like Alien (1979)." in first.find_element("css selector", ".why").text
    chips = first.find_elements("css selector", ".chip")
    assert [(chip.text, "apart" in chip.get_attribute("class")) for chip in chips] == [
        ("a1", False),
        ("b1", False),
        ("c2", True),  # Alien is c1.
    ]


def test_bars_of_both_modes_are_drawn_to_one_scale(page):
    widths = "return [...document.querySelectorAll('#direct .bar')].map(bar => getComputedStyle(bar, '::after').width)"
    first, second = (float(width.removesuffix("px")) for width in page.driver.execute_script(widths)[:2])
    assert first == pytest.approx(2 * second, rel=0.01)


def test_each_answer_names_its_policy_and_its_time(page):
    for mode in ("direct", "reasoning"):
        milliseconds, policy = page.text(f"#{mode} .facts").split(" ms · ")
        assert int(milliseconds.replace(",", "")) > 0
        assert policy == "policy 3fa8c10b2d1e"
    assert "films" in page.text("#policy")


def test_the_chain_is_read_while_it_grows(blank, stub):
    stub.held = {"ann"}
    blank.driver.get(stub.url)
    blank.until(lambda: "evidence: [Before Su" in blank.text("#chain-text"))
    blank.until(lambda: len(blank.titles("direct")) == 10)
    assert blank.titles("reasoning") == []
    assert blank.one("#chain-text").get_attribute("aria-busy") == "true"
    stub.may_end.set()
    blank.until(lambda: len(blank.titles("reasoning")) == 10)
    assert blank.one("#chain-text").get_attribute("aria-busy") == "false"
    stages = [words(stage) for stage in blank.all("#chain-text p")]
    assert stages == ["evidence: Before Sunrise (1995) Alien (1979)", "likes: films", "relevant: Alien (1979)"]


def test_a_citation_lights_up_its_item_under_the_pointer(page):
    assert page.lit() == []
    page.point_at(".citation")
    assert page.lit() == ["Before Sunrise (1995)"]
    page.point_at("#tree-title")
    assert page.lit() == []


def test_a_citation_lights_up_its_item_with_the_focus_and_leads_to_it(page):
    first, second, _ = page.all(".citation")
    page.driver.execute_script("arguments[0].focus()", first)
    page.press(Keys.TAB)
    assert page.focused() == second
    assert page.lit() == ["Alien (1979)"]
    page.press(Keys.ENTER)
    assert page.focused().get_attribute("data-item") == "m0"


def test_cited_items_are_marked_in_the_history(page):
    assert len(page.all("#history-list .cited-mark")) == 2
    page.add_item("Titanic (1997)")  # The chain cites the oldest and the newest one.
    marked = [row for row in page.all("#history-list li") if "cited" in row.text]
    assert [row.get_attribute("data-item") for row in marked] == ["m9", "m5"]


def test_a_recommended_item_lights_up_what_speaks_for_it(page):
    page.point_at("#direct .ranking li:nth-child(6)")  # Casablanca, by Before Sunrise.
    assert page.lit() == ["Before Sunrise (1995)"]


def test_a_chain_without_citations_says_so(page):
    page.click("#history-clear")
    page.until_answered()
    assert page.text("#chain-text") == "evidence: none"
    assert page.text("#chain-hint") == "this one cites nothing of the history"


def test_titles_are_text_wherever_they_stand(page):
    assert HOSTILE in page.titles("direct")
    assert HOSTILE in page.text("#tree")
    assert page.search_item("onerror") == [HOSTILE]
    page.press(Keys.ENTER)
    page.until_answered()
    assert page.history()[0] == HOSTILE
    assert HOSTILE in page.text("#direct .since")
    assert HOSTILE in page.text("#chain-text")
    assert page.driver.find_elements("css selector", "main img, main b b, main .title b") == []
    assert page.driver.title == "GREAM"


def test_the_tree_shows_which_branches_are_shared(page):
    assert page.text("#tree-summary") == "8 of 11 recommended items share a group with the history"
    heads = [words(head) for head in page.all("#tree-branches > ul > li > .branch-head")]
    # Ordered by the best rank in either mode.
    assert heads == ["a1 5 recommended · 1 of the history", "a2 3 recommended · 1 of the history", "a3 3 recommended"]
    first = page.all("#tree-branches > ul > li")[0]
    branches = [words(branch) for branch in first.find_elements("css selector", ":scope > ul > li > .branch-head")]
    assert branches == ["b1 1 recommended · 1 of the history", "b2 3 recommended"]
    leaves = [words(leaf) for leaf in first.find_elements("css selector", ".leaf")]
    assert leaves == [
        "c2 Aliens (1986) direct 1 reasoning 4",
        "c1 Alien (1979) history",
        "c1 Blade Runner (1982) direct 2 reasoning 6",
        "c2 Contact (1997) direct 3 reasoning 8",
        "c3 Brazil (1985) direct 4 reasoning 10",
        "b3 c1 Dark City (1998) direct 5",
    ]


def test_groups_of_the_history_alone_are_folded_away(page):
    for title in films(1, 3, 6, 8, 9, 11):
        page.add_item(title)
    summary = page.one("#tree-branches > details > summary")
    assert summary.text == "7 items of the history in 2 groups more"
    assert page.all("#tree-branches > details li") == []
    summary.click()
    page.until(lambda: page.all("#tree-branches > details li"))


def test_items_of_two_policies_that_have_one_name_stand_together(page):
    """Another policy may be served while the page is open."""
    page.driver.execute_async_script("""
        const done = arguments[0];
        const tokens = ["<|a_1|>", "<|b_1|>"];
        import("/page/tree.js").then(({ showTree }) => {
            const history = [{ item_id: "old", title: "Old", tokens }];
            showTree(history, { direct: [{ item_id: "new", title: "New", tokens }] });
            done();
        });
    """)
    assert words(page.one("#tree-branches")) == "a1 b1 Old history New direct 1"
