"""The profile that needs no language model: an item's own words in a fixed order."""

from gream.enrichment.item_text import ItemText
from gream.prompts import load_prompts


def template_profile(item: ItemText) -> str:
    """The item's known fields as sentences; never empty.

    >>> template_profile(ItemText("Alien (1979)", categories=("Horror", "Sci-Fi"), description="In space!"))
    'Alien (1979). Categories: Horror, Sci-Fi. In space!'
    """
    words = load_prompts("enrichment")["template"]
    fields = {
        "brand": item.brand,
        "categories": ", ".join(item.categories),
        "description": item.description,
        "reviews": " ".join(_sentence(review) for review in item.reviews),
    }
    parts = [words["title"].format(title=item.title) if item.title else words["untitled"]]
    parts += [words[name].format(**{name: value}) for name, value in fields.items() if value]
    return " ".join(_sentence(part) for part in parts)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
