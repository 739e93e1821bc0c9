"""The page in headless Chromium, over a server that plays the API."""

import shutil
from collections.abc import Iterator

import pytest
from background_server import in_background
from page_browser import Page
from page_stub import PageStub
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """One browser for all tests."""
    browser, door = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or door is None:
        pytest.skip("no browser here: install the packages chromium and chromium-driver to run this test")
    options = ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-prefers-reduced-motion"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(door))
    yield driver
    driver.quit()


@pytest.fixture
def stub() -> Iterator[PageStub]:
    """The server; tests may change how it behaves before they open the page."""
    with in_background(PageStub()) as server:
        yield server
        server.may_end.set()


@pytest.fixture
def blank(driver: Chrome) -> Iterator[Page]:
    """A browser that shows nothing yet, on a wide screen."""
    page = Page(driver)
    page.set_screen(1400)
    page.complaints()
    yield page
    driver.get("about:blank")  # Nothing is under way any more when the server goes.


@pytest.fixture
def page(blank: Page, stub: PageStub) -> Page:
    """The page as it stands after it was opened: with the first sample user, ann."""
    blank.driver.get(stub.url)
    blank.until_answered()
    blank.until(blank.history)
    return blank
