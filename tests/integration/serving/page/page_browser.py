"""The page in a browser, as its reader sees and uses it."""

from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

WAIT_S = 30


class Page:
    """What tests look at and do.

    Attributes:
        driver: of the browser.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def all(self, selector: str) -> list[WebElement]:
        """What is displayed of what a CSS selector finds."""
        return [found for found in self.driver.find_elements("css selector", selector) if found.is_displayed()]

    def one(self, selector: str) -> WebElement:
        (found,) = self.all(selector)
        return found

    def text(self, selector: str) -> str:
        """The displayed texts, joined."""
        return " ".join(found.text for found in self.all(selector))

    def until(self, condition):
        """Waits until a condition holds, and returns what it gave."""
        return WebDriverWait(self.driver, WAIT_S).until(lambda _: condition())

    def until_answered(self) -> None:
        """Waits until nothing is under way."""
        self.until(lambda: self.driver.find_elements("css selector", "#direct[aria-busy=false]"))
        self.until(lambda: self.driver.find_elements("css selector", "#reasoning[aria-busy=false]"))

    def click(self, selector: str) -> None:
        self.one(selector).click()

    def pick_user(self, user: str) -> None:
        """Types a user's id and asks for them."""
        field = self.one("#user")
        field.clear()
        field.send_keys(user, Keys.ENTER)

    def search_item(self, query: str) -> list[str]:
        """Types into the search of items, and waits for titles."""
        self.one("#item-query").send_keys(query)
        return self.until(lambda: self._texts("#item-options .title"))

    def add_item(self, title: str) -> None:
        """Finds an item by its whole title, picks it, and waits for what it changes."""
        assert self.search_item(title) == [title]
        self.one("#item-query").send_keys(Keys.ENTER)
        self.until_answered()

    def history(self) -> list[str]:
        """Titles of the history, as shown."""
        return self._texts("#history-list .title")

    def titles(self, mode: str) -> list[str]:
        """Titles of a ranking, as shown."""
        return self._texts(f"#{mode} .ranking .title")

    def marks(self, mode: str) -> dict[str, str]:
        """How items moved, by title; those without a mark are left out."""
        script = """
            return [...document.querySelectorAll(arguments[0])]
                .map(mark => [mark.parentElement.firstChild.textContent, mark.textContent])
        """
        return dict(self.driver.execute_script(script, f"#{mode} .ranking .mark"))

    def lit(self) -> list[str]:
        """Titles of the history items that are lit up."""
        return self._texts("#history-list .lit .title")

    def point_at(self, selector: str) -> None:
        """Moves the pointer over the first of what a selector finds."""
        ActionChains(self.driver).move_to_element(self.all(selector)[0]).perform()

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def set_screen(self, width: int, scheme: str = "light") -> None:
        """A screen of so many pixels, in a light or dark scheme."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What the browser's console says since it was asked last: errors, warnings, refusals."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def _texts(self, selector: str) -> list[str]:
        # One call, so that rows which are replaced meanwhile do no harm.
        script = """
            return [...document.querySelectorAll(arguments[0])]
                .filter(found => found.checkVisibility())
                .map(found => found.firstChild.textContent)  // Without the mark behind a title.
        """
        return self.driver.execute_script(script, selector)
