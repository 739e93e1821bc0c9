import pytest

from gream.config import EnrichmentConfig
from gream.enrichment.accounting import Budget, Usage
from gream.errors import ConfigError

pytestmark = pytest.mark.unit


def test_cost_is_tokens_times_price():
    budget = Budget.of(EnrichmentConfig(usd_per_million_prompt_tokens=2.0, usd_per_million_completion_tokens=8.0))
    # 3,000 x 2e-6 + 500 x 8e-6 = 0.006 + 0.004
    assert budget.cost(3_000, 500) == pytest.approx(0.010)


def test_a_budget_is_spent_when_its_limit_is_reached():
    budget = Budget.of(EnrichmentConfig(budget_tokens=100))
    assert budget.spent(Usage(prompt_tokens=60, completion_tokens=39)) == ""
    assert "budget_tokens = 100 is spent" in budget.spent(Usage(prompt_tokens=60, completion_tokens=40))
    assert budget.spent(Usage(prompt_tokens=60, usd=1_000.0)) == ""

    budget = Budget.of(EnrichmentConfig(budget_usd=0.5, usd_per_million_prompt_tokens=1.0))
    assert budget.spent(Usage(prompt_tokens=10**9, usd=0.49)) == ""
    assert "budget_usd = 0.5 is spent" in budget.spent(Usage(usd=0.5))


def test_what_is_cached_was_paid_for_too():
    budget = Budget.of(EnrichmentConfig(budget_tokens=100))
    kept = Usage(prompt_tokens=20, completion_tokens=9, cached_prompt_tokens=50, cached_completion_tokens=20)
    assert budget.spent(kept) == ""
    kept.completion_tokens += 1
    assert "budget_tokens = 100 is spent (100 tokens used, 70 of them earlier)" in budget.spent(kept)

    prices = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 4.0}
    budget = Budget.of(EnrichmentConfig(budget_usd=0.5, **prices))
    # 100,000 x 1e-6 + 50,000 x 4e-6 = 0.3
    kept = Usage(cached_prompt_tokens=100_000, cached_completion_tokens=50_000, usd=0.1)
    assert budget.spent(kept) == ""
    kept.usd = 0.25
    assert "budget_usd = 0.5 is spent (0.5500 USD used, 0.3000 of them earlier)" in budget.spent(kept)


def test_no_limit_is_never_spent():
    assert Budget.of(EnrichmentConfig()).spent(Usage(prompt_tokens=10**12, usd=1e9)) == ""


def test_a_usd_budget_needs_prices():
    with pytest.raises(ConfigError, match="usd_per_million_prompt_tokens"):
        Budget.of(EnrichmentConfig(budget_usd=1.0))
