"""What holds for the page as a whole: nothing foreign, nothing wrong, room on a small screen, light and dark."""

import pytest
from page_stub import LONG

from serving.api.routes.page import PAGE

pytestmark = pytest.mark.integration


def test_the_console_stays_empty(page):
    page.add_item("Airplane! (1980)")
    page.point_at(".citation")
    assert page.complaints() == []


def test_everything_comes_from_this_server(page, stub):
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    names = page.driver.execute_script(script)
    assert any(name.endswith("/page/app.js") for name in names)
    assert [name for name in names if not name.startswith(stub.url)] == []


def test_every_module_is_asked_for_at_once():
    """Otherwise the browser finds each only when it has read the one that imports it."""
    text = (PAGE / "index.html").read_text()
    assert [file.name for file in sorted(PAGE.glob("*.js")) if f'href="page/{file.name}"' not in text] == ["app.js"]


@pytest.mark.parametrize("width", [400, 900, 1400])
def test_it_needs_no_sideways_scrolling(page, width):
    page.set_screen(width)
    page.pick_user(LONG)
    page.until(lambda: len(page.history()) == 1)
    page.until_answered()
    page.search_item("a")
    script = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth, innerWidth]"
    content, room, screen = page.driver.execute_script(script)
    assert (content, screen) == (room, width)


def test_it_follows_the_readers_scheme(page):
    script = "return getComputedStyle(document.body).backgroundColor"
    grounds = []
    for scheme in ("light", "dark"):
        page.set_screen(1400, scheme)
        grounds.append(page.driver.execute_script(script))
    assert grounds == ["rgb(245, 247, 249)", "rgb(18, 23, 29)"]


def test_every_field_and_button_has_a_name(page):
    nameless = """
        return [...document.querySelectorAll('input, button')].filter(found => found.checkVisibility())
            .filter(found => !found.labels?.length && !found.ariaLabel && !found.textContent.trim())
            .map(found => found.outerHTML)
    """
    assert page.driver.execute_script(nameless) == []
