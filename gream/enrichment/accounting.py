"""What a run of language-model requests used, what it cost, and when its budget is spent."""

from dataclasses import dataclass, fields

from gream.config import EnrichmentConfig
from gream.errors import ConfigError


@dataclass
class Usage:
    """Running totals of one `LlmClient`.

    Attributes:
        replies: answers that the endpoint gave, and charged for, in this run.
        cached: answers taken from the cache, paid for by an earlier attempt or run.
        retries: attempts repeated after a 429, a 5xx or a time-out on the way to `replies`.
        repairs: second questions asked because a first answer was not valid.
        failures: requests left without a valid answer.
        prompt_tokens, completion_tokens: of `replies`, as the endpoint counted them.
        cached_prompt_tokens, cached_completion_tokens: of `cached`.
        usd: cost of `replies` at the configured prices.
    """

    replies: int = 0
    cached: int = 0
    retries: int = 0
    repairs: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    cached_completion_tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


@dataclass(frozen=True)
class Budget:
    """Prices and limits of what one client answers; a limit of 0 is none.

    A limit stops the run before the next request once it is reached. Requests under way then are answered and kept, so
    that it is overshot by at most `enrichment.concurrency` answers. Answers from the cache count at today's prices: the
    limit is on what an output may cost, and the next attempt at it has no more to spend than the first.
    """

    tokens: int
    usd: float
    usd_per_prompt_token: float
    usd_per_completion_token: float

    @classmethod
    def of(cls, config: EnrichmentConfig) -> "Budget":
        """The budget that a profile sets.

        Raises:
            ConfigError: a limit in USD without prices, which could never stop anything.
        """
        prompt, completion = config.usd_per_million_prompt_tokens, config.usd_per_million_completion_tokens
        if config.budget_usd > 0 and prompt == completion == 0:
            raise ConfigError(
                f"enrichment.budget_usd = {config.budget_usd} needs prices: set "
                "enrichment.usd_per_million_prompt_tokens and enrichment.usd_per_million_completion_tokens."
            )
        return cls(config.budget_tokens, config.budget_usd, prompt / 1e6, completion / 1e6)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD for one answer."""
        return prompt_tokens * self.usd_per_prompt_token + completion_tokens * self.usd_per_completion_token

    def spent(self, usage: Usage) -> str:
        """Which limit is reached, in words that name its key; empty while there is something left."""
        kept = usage.cached_prompt_tokens + usage.cached_completion_tokens
        tokens = usage.prompt_tokens + usage.completion_tokens + kept
        if 0 < self.tokens <= tokens:
            return f"enrichment.budget_tokens = {self.tokens} is spent ({tokens} tokens used, {kept} of them earlier)"
        earlier = self.cost(usage.cached_prompt_tokens, usage.cached_completion_tokens)
        usd = usage.usd + earlier
        if 0 < self.usd <= usd:
            return f"enrichment.budget_usd = {self.usd} is spent ({usd:.4f} USD used, {earlier:.4f} of them earlier)"
        return ""
