"""Questions to a language model behind any OpenAI-compatible endpoint: many at once, each answered by a checked object.

What one question goes through, in order:
1. its hash is looked up in the cache; an answer that was paid for once is not asked for again, unless it was cut off
   and may be longer now;
2. the budget is looked at; a spent one stops the run. What cached answers cost counts: an attempt has no new budget;
3. the endpoint is asked, under a JSON schema, with retries (see `chat`); disk and accounts take the answer down;
4. the answer is validated. An invalid one is asked for once more, with the reason; a second one counts as a failure.

Failure policy. A request without a valid answer, or one that the endpoint refuses for its content (400, 413, 422),
yields None and is counted; more than `FEW` and `MAX_FAILED_SHARE` of them, or all, stop the run, since then something
is wrong with all. Everything else (401, 404, retries exhausted, no chat completion) stops the run at once. A stopping
run lets the requests under way finish: they are charged for, so they are kept.

Left out: streaming, tools, batches of the provider's own. A request that times out here may still be charged for there,
unseen by these accounts.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import openai
from pydantic import BaseModel, ValidationError
from tqdm import tqdm

from gream.config import EnrichmentConfig
from gream.enrichment.accounting import Budget, Usage
from gream.enrichment.cache import Reply, ReplyCache
from gream.enrichment.chat import QUOTE_LENGTH, RefusedError, ask
from gream.enrichment.endpoint import Endpoint
from gream.enrichment.untrusted import Data, clean_text, render_data
from gream.errors import ConfigError, EnrichmentError
from gream.prompts import load_prompts

Answer = TypeVar("Answer", bound=BaseModel)
Messages: TypeAlias = tuple[tuple[str, str], ...]
"""A conversation as (role, content) turns; hashable, so that equal ones are found."""

MAX_FAILED_SHARE: Final = 0.05
FEW: Final = 3
"""Failures that are borne where there are so few requests that they are more than the share."""


@dataclass(frozen=True)
class LlmRequest:
    """One question: what to do, and what to do it with.

    Attributes:
        system: the instructions, our own words.
        data: everything else, which may be a stranger's words: it is sent as one cleaned JSON text (`render_data`).
    """

    system: str
    data: Data

    def messages(self) -> Messages:
        """System and user turn, as (role, content)."""
        return (("system", self.system), ("user", render_data(self.data)))


class LlmClient:
    """A model at the endpoint of the environment, with a cache on disk, accounts and a budget.

    Attributes:
        usage: totals over every `complete_all` of this client; the budget counts against them.
    """

    def __init__(self, config: EnrichmentConfig, cache_path: Path) -> None:
        """Check everything that can be checked without asking.

        Raises:
            ConfigError: no model named, no endpoint or key in the environment, or a budget without prices.
        """
        if not config.model:
            raise ConfigError("enrichment.model is empty: name the model to ask for at GREAM_LLM_BASE_URL.")
        self.usage = Usage()
        self._config = config
        self._endpoint = Endpoint.from_environment()
        self._budget = Budget.of(config)
        self._cache_path = cache_path

    def complete_all(
        self, requests: Sequence[LlmRequest], schema: type[Answer], label: str = "requests"
    ) -> list[Answer | None]:
        """Answer every request, at most `enrichment.concurrency` at a time; equal requests are asked once.

        Must not be called from inside a running event loop.

        Args:
            requests: the questions.
            schema: shape of an answer. For endpoints that enforce schemas strictly it should forbid extra fields, have
                no optional ones and no limits on lengths; text fields of type `PlainText` come back cleaned.
            label: what the progress bar says.

        Returns:
            One answer for each request, in order; None where a request failed (see the module's failure policy).

        Raises:
            EnrichmentError: the endpoint failed for good, too many requests failed, or the budget is spent. What was
                answered until then is in the cache, and the same call continues from there: with a larger budget if it
                was spent, with the cause mended if too many failed.
        """
        conversations = [request.messages() for request in requests]
        with ReplyCache(self._cache_path) as cache, tqdm(total=len(set(conversations)), desc=label) as bar:
            run = _Run(self._config, self._endpoint, self._budget, self.usage, cache, bar)
            answers = asyncio.run(run.answer_all(conversations, schema))
        return [answers[conversation] for conversation in conversations]


class _TooManyFailedError(EnrichmentError):
    """Something is wrong with all requests."""


class _Run:
    """One `complete_all` under way."""

    def __init__(
        self,
        config: EnrichmentConfig,
        endpoint: Endpoint,
        budget: Budget,
        usage: Usage,
        cache: ReplyCache,
        bar: "tqdm[Any]",
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._budget = budget
        self._usage = usage
        self._cache = cache
        self._bar = bar

    async def answer_all(self, conversations: list[Messages], schema: type[Answer]) -> dict[Messages, Answer | None]:
        """The answers by conversation; one pool of workers takes the conversations from one iterator."""
        distinct = list(dict.fromkeys(conversations))
        queue = iter(distinct)
        answers: dict[Messages, Answer | None] = {}
        failures = 0
        stops: list[EnrichmentError] = []

        async def work(api: openai.AsyncOpenAI) -> None:
            nonlocal failures
            for conversation in queue:
                try:
                    answers[conversation] = await self._answer(api, conversation, schema)
                except RefusedError as refusal:
                    answers[conversation] = None
                    self._usage.failures += 1
                    failures += 1
                    if failures > max(FEW, MAX_FAILED_SHARE * len(distinct)) or failures == len(distinct):
                        stops.append(_TooManyFailedError(f"{failures} requests failed, the last one: {refusal}"))
                except EnrichmentError as stop:
                    stops.append(stop)
                if stops:
                    return
                self._bar.update()

        async with openai.AsyncOpenAI(
            base_url=self._endpoint.base_url,
            api_key=self._endpoint.api_key,
            timeout=self._config.timeout_s,
            max_retries=self._config.max_retries,
        ) as api:
            await asyncio.gather(*(work(api) for _ in range(self._config.concurrency)))
        if stops:
            kept = f"{len(answers)} of {len(distinct)} requests were done, and every answer so far is kept in "
            kept += str(self._cache.path)
            if isinstance(stops[0], _TooManyFailedError):  # They would be judged as they were now.
                raise EnrichmentError(f"{stops[0]} {kept}; the same command fails again until the cause is mended.")
            raise EnrichmentError(f"{stops[0]} {kept}: while that file is there, the same command continues from it.")
        return answers

    async def _answer(self, api: openai.AsyncOpenAI, conversation: Messages, schema: type[Answer]) -> Answer:
        """One valid answer, at the second attempt at the latest."""
        reply = await self._reply(api, conversation, schema)
        try:
            return schema.model_validate_json(reply.content)
        except ValidationError as error:
            problem = self._problem(reply, error)
        self._usage.repairs += 1
        # The faulty answer may hold special tokens of its own: it goes back cleaned and cut.
        turns = (
            ("assistant", clean_text(reply.content, QUOTE_LENGTH) or "{}"),
            ("user", load_prompts("enrichment")["repair"]["user"].format(problem=problem)),
        )
        reply = await self._reply(api, conversation + turns, schema)
        try:
            return schema.model_validate_json(reply.content)
        except ValidationError as error:
            problem = self._problem(reply, error)
            if reply.finish_reason == "length":  # Nothing that the model could mend: it may not have come to an answer.
                problem += ", enrichment.max_output_tokens, in which hidden reasoning counts: raise it"
            raise RefusedError(f"no valid {schema.__name__} in two answers ({problem}).") from error

    def _problem(self, reply: Reply, error: ValidationError) -> str:
        if reply.finish_reason == "length":
            return f"it was cut off at {self._config.max_output_tokens} tokens"
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return clean_text(f"{where}: {first['msg']}" if where else first["msg"], QUOTE_LENGTH)

    async def _reply(self, api: openai.AsyncOpenAI, messages: Messages, schema: type[BaseModel]) -> Reply:
        """One answer, from the cache or else from the endpoint."""
        question: dict[str, Any] = {
            "model": self._config.model,
            "messages": [{"role": role, "content": content} for role, content in messages],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": schema.__name__, "strict": True, "schema": schema.model_json_schema()},
            },
            "temperature": self._config.temperature,
        }
        key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        limit = self._config.max_output_tokens  # Not in the key: an answer that came to its end is right under any.
        if (kept := self._cache.get(key)) is not None and kept.fits(limit):
            self._usage.cached += 1
            self._usage.cached_prompt_tokens += kept.prompt_tokens
            self._usage.cached_completion_tokens += kept.completion_tokens
            return kept
        if spent := self._budget.spent(self._usage):
            raise EnrichmentError(f"{spent}; raise it.")
        reply, retries = await ask(api, {**question, "max_completion_tokens": limit})
        self._cache.put(key, reply)
        self._usage.replies += 1
        self._usage.retries += retries
        self._usage.prompt_tokens += reply.prompt_tokens
        self._usage.completion_tokens += reply.completion_tokens
        self._usage.usd += self._budget.cost(reply.prompt_tokens, reply.completion_tokens)
        return reply
