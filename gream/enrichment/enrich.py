"""The enrichment stage: a catalog in, one profile for each of its items out (paper, section 3.1)."""

import math
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.config import EnrichmentConfig
from gream.data.catalog import Catalog
from gream.enrichment.accounting import Usage
from gream.enrichment.client import LlmClient, LlmRequest
from gream.enrichment.item_text import item_texts
from gream.enrichment.profiles import LLM, SCHEMA, TEMPLATE, ItemProfiles, ProfileFacts
from gream.enrichment.template import template_profile
from gream.enrichment.untrusted import PlainText
from gream.prompts import PROMPTS_VERSION, load_prompts
from gream.share import WHOLE, Share


class ProfileAnswer(BaseModel):
    """What the language model is asked to return for one item."""

    model_config = ConfigDict(extra="forbid")

    profile: PlainText


def enrich_catalog(catalog: Catalog, config: EnrichmentConfig, cache_path: Path, share: Share = WHOLE) -> ItemProfiles:
    """Write one profile for each item of a share.

    The template backend is a pure function of the catalog. The openai backend asks the endpoint of the environment and
    may be killed and repeated at any time: answers are kept in `cache_path`. An item that the model fails on gets its
    template profile, is marked so in `source` and counted in `facts.usage.failures`; the client's limit on failures
    applies. An item of which nothing is told is not asked about. A share may spend its part of the budget; a question
    that two shares have is asked by both.

    Raises:
        ConfigError: the openai backend lacks a model, an endpoint, a key, or prices for its budget.
        EnrichmentError: the endpoint failed for good, or the budget is spent; a repeated call, with a larger budget
            where that is spent, continues from `cache_path`.
    """
    texts = share.block(item_texts(catalog, config.max_reviews))
    profiles = [template_profile(text) for text in texts]
    sources = [TEMPLATE] * len(texts)
    usage = Usage()
    if config.backend == "openai":
        client = LlmClient(_with_budget_of(config, share), cache_path)
        system = load_prompts("enrichment")["profile"]["system"]
        told = [position for position, text in enumerate(texts) if text.data()]  # Of nothing a model would invent.
        requests = [LlmRequest(system, texts[position].data()) for position in told]
        answers = client.complete_all(requests, ProfileAnswer, label="item profiles")
        for position, answer in zip(told, answers, strict=True):
            if answer is not None:
                profiles[position], sources[position] = answer.profile, LLM
        usage = client.usage
    frame = pl.DataFrame(
        {columns.ITEM: share.block(catalog.item_ids), columns.PROFILE: profiles, columns.SOURCE: sources}, schema=SCHEMA
    )
    facts = ProfileFacts(
        backend=config.backend,
        model=config.model if config.backend == "openai" else "",
        prompts_version=PROMPTS_VERSION,
        usage=usage,
    )
    return ItemProfiles(frame, facts)


def _with_budget_of(config: EnrichmentConfig, share: Share) -> EnrichmentConfig:
    tokens = math.ceil(config.budget_tokens / share.count)  # Up: a limit of 0 would be none.
    return config.model_copy(update={"budget_tokens": tokens, "budget_usd": config.budget_usd / share.count})
