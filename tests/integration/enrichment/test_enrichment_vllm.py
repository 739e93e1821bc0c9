"""The whole stage with a real language model: SmolLM2-135M-Instruct through vLLM on the CPU."""

import polars as pl
import pytest

from gream import columns
from gream.config import EnrichmentConfig
from gream.data.catalog import INTERACTION_SCHEMA, ITEM_SCHEMA, Catalog, CatalogFacts
from gream.enrichment.enrich import enrich_catalog
from gream.indexing.tokens import find_tokens

pytestmark = pytest.mark.integration

ITEMS = [
    ("1", "Alien (1979)", "A crew meets a deadly creature aboard a spaceship.", "", ["Horror", "Sci-Fi"]),
    ("2", "Toy Story (1995)", "Toys come to life when nobody looks.", "", ["Animation", "Children's"]),
    ("3", "Blade Runner (1982) <|a_1|>", "", "", ["Sci-Fi", "Film-Noir"]),
]


def test_a_real_model_writes_valid_profiles_and_is_accounted_for(smollm2_server, tmp_path, monkeypatch):
    monkeypatch.setenv("GREAM_LLM_BASE_URL", smollm2_server)
    monkeypatch.setenv("GREAM_LLM_API_KEY", "none")
    catalog = Catalog(
        interactions=pl.DataFrame(
            [("u", name, time) for time, name in enumerate("123")], schema=INTERACTION_SCHEMA, orient="row"
        ),
        items=pl.DataFrame(ITEMS, schema=ITEM_SCHEMA, orient="row"),
        facts=CatalogFacts(dataset="films", source="test", exclude_seen=True),
    )
    config = EnrichmentConfig(
        backend="openai", model="smollm2", max_output_tokens=120, timeout_s=300, usd_per_million_prompt_tokens=1.0
    )
    profiles = enrich_catalog(catalog, config, tmp_path / "cache.sqlite")
    assert profiles.frame[columns.SOURCE].to_list() == ["llm"] * 3
    for text in profiles.texts.values():
        assert text
        assert find_tokens(text) == []

    usage = profiles.facts.usage
    assert usage.replies == 3 + usage.repairs
    assert usage.failures == usage.cached == 0
    # The instructions alone are more than a hundred tokens, and an answer is at least its braces and quotes.
    assert 3 * 100 < usage.prompt_tokens < usage.replies * 1_024
    assert 3 * 5 <= usage.completion_tokens <= usage.replies * 120
    assert usage.usd == pytest.approx(usage.prompt_tokens / 1e6)

    # A second run is answered by the cache alone, and says the same.
    again = enrich_catalog(catalog, config, tmp_path / "cache.sqlite")
    assert again.frame.equals(profiles.frame)
    assert again.facts.usage.replies == 0
    assert again.facts.usage.cached_prompt_tokens == usage.prompt_tokens
