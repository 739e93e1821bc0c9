"""One question to an OpenAI-compatible endpoint, over HTTP: an answer with its token counts, or one clear sentence.

The openai package repeats after 429, 5xx, time-outs and lost connections, with exponential back-off and minding
Retry-After. What still fails after that is told apart here: refused for this one question, or failed for good.
"""

from typing import Any, Final

import openai
from pydantic import BaseModel, ValidationError

from gream.enrichment.cache import Reply
from gream.enrichment.untrusted import clean_text
from gream.errors import EnrichmentError

QUOTE_LENGTH: Final = 300
"""Characters of somebody else's words that a message of ours repeats."""

_REFUSED_STATUS: Final = (400, 413, 422)
_REMEDIES: Final[dict[int, str]] = {
    401: "check GREAM_LLM_API_KEY",
    403: "check GREAM_LLM_API_KEY",
    404: "check GREAM_LLM_BASE_URL and enrichment.model",
    429: "lower enrichment.concurrency or raise enrichment.max_retries",
}


class RefusedError(EnrichmentError):
    """This one question has no usable answer, whoever asks; others may."""


class _Completion(BaseModel):
    """The part of a chat completion that is used; anything else an endpoint adds is ignored."""

    class Choice(BaseModel):
        class Message(BaseModel):
            content: str | None = None

        message: Message
        finish_reason: str | None = None

    class TokenCounts(BaseModel):
        prompt_tokens: int
        completion_tokens: int = 0

    choices: list[Choice]
    usage: TokenCounts


async def ask(api: openai.AsyncOpenAI, question: dict[str, Any]) -> tuple[Reply, int]:
    """Ask once, with the retries that `api` is set to.

    Args:
        api: an open connection; its time-out and retries are its own.
        question: body of a chat completion request.

    Returns:
        The answer, and how many attempts before it failed.

    Raises:
        RefusedError: the endpoint refuses this question for its content (400, 413, 422).
        EnrichmentError: the endpoint cannot be reached, refuses the key or the model, failed in every attempt, or
            speaks something else than chat completions.
    """
    host = api.base_url.host
    # The openai package's exceptions quote the endpoint, which may quote the key: none of them is chained.
    try:
        raw = await api.chat.completions.with_raw_response.create(**question)
    except openai.APIStatusError as error:
        words = f"{host} answered {error.status_code}: {_quote(str(error), api)}"
        if error.status_code in _REFUSED_STATUS:
            raise RefusedError(f"{words}.") from None
        raise EnrichmentError(f"{words} ({_REMEDIES.get(error.status_code, 'the endpoint is not well')}).") from None
    except openai.APITimeoutError:
        raise EnrichmentError(
            f"{host} gave no answer within enrichment.timeout_s = {api.timeout} seconds in {api.max_retries + 1} "
            "attempts; raise it or lower enrichment.concurrency."
        ) from None
    except openai.APIConnectionError as error:
        raise EnrichmentError(
            f"{host} cannot be reached ({_quote(str(error), api)}); check GREAM_LLM_BASE_URL."
        ) from None
    try:
        completion = _Completion.model_validate_json(raw.content)
        choice = completion.choices[0]
    except (ValidationError, IndexError):
        raise EnrichmentError(
            f"{host} answered with something else than a chat completion with a choice and token counts: "
            f"{_quote(raw.text, api)}"
        ) from None
    reply = Reply(
        content=choice.message.content or "",
        finish_reason=choice.finish_reason or "",
        prompt_tokens=completion.usage.prompt_tokens,
        completion_tokens=completion.usage.completion_tokens,
        token_limit=question["max_completion_tokens"],
    )
    return reply, raw.retries_taken


def _quote(words: str, api: openai.AsyncOpenAI) -> str:
    return clean_text(words.replace(api.api_key, "***"), QUOTE_LENGTH)
