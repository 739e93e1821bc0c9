"""From a client's request to the engine's, and from the engine's answer to the client's.

What is not perfect is answered as well as it can be, and says so:

- a user whom the feature store does not know, or whose history is empty, gets what the policy says of an empty history:
  what people begin with. That is no degradation; there is nothing better to know.
- when the feature store does not answer, a user gets the same, `degraded` with the reason `features_unavailable`.
- items of a history that the policy does not know are left out and listed in `ignored_items`.
- where the filters leave no item at all, the answer is an empty list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from gream.errors import RequestError
from serving.api.asked import Ask, History, Prepared
from serving.api.catalogue import PolicyCatalogue
from serving.api.engine import EngineBusyError, EngineNotReadyError
from serving.api.errors import ApiError
from serving.api.models import Reasoning, RecommendedItem, RecommendRequest, RecommendResponse
from serving.api.parts import Parts
from serving.api.record import RequestRecord
from serving.api.why import Explainer
from serving.contracts import EngineAnswer, EngineRequest, FeatureStoreError, RankedItem, UserHistory
from serving.settings import ServingSettings

FEATURES_UNAVAILABLE: Final = "features_unavailable"
"""The reason of an answer that was given without the user's history."""

Result = TypeVar("Result")


def check_limits(request: RecommendRequest, settings: ServingSettings, place: str = "") -> None:
    """Hold a request against this server's limits.

    Args:
        request: the request.
        settings: with the limits.
        place: of the request in a batch, for the message.

    Raises:
        ApiError: `limit_exceeded`.
    """
    sizes = {
        "k": (request.k, settings.max_k),
        "history": (len(request.history or ()), settings.max_history),
        "exclude": (len(request.exclude), settings.max_history),
        "categories": (len(request.categories), settings.max_history),
    }
    for name, (size, limit) in sizes.items():
        if size > limit:
            raise ApiError("limit_exceeded", f"{place}{name}: {size} is more than this server's limit of {limit}.")


async def read_histories(requests: Collection[RecommendRequest], parts: Parts) -> list[History]:
    """The requests' own histories, or their users' from the feature store: the most recent items of each."""
    users = {request.user_id for request in requests if request.user_id is not None}
    found: dict[str, UserHistory] = {}
    degraded = None
    if users:
        try:
            found = await parts.histories.read(users)
        except FeatureStoreError:
            degraded = FEATURES_UNAVAILABLE

    def history(request: RecommendRequest) -> History:
        if request.user_id is None:
            return History(request.history or [])
        known = found.get(request.user_id)
        if known is None or not known.item_ids:
            return History((), degraded=degraded)
        return History(known.item_ids[-parts.settings.max_history :], last_at=known.timestamps[-1])

    return [history(request) for request in requests]


def prepare(ask: Ask, catalogue: PolicyCatalogue) -> Prepared:
    """What the engine is asked, by the catalogue that it serves."""
    request = ask.request
    known, unknown = catalogue.split_known(ask.history.item_ids)
    # Unknown ones too: a successor that is just taking over may know them.
    seen = ask.history.item_ids if request.exclude_seen else ()
    exclude = tuple(dict.fromkeys([*request.exclude, *seen]))
    engine_request = EngineRequest(
        history=tuple(known),
        k=request.k,
        mode=request.mode,
        exclude=exclude,
        categories=request.categories,
        new_only=request.new_only,
    )
    left = catalogue.leaves_something(exclude, request.categories, request.new_only)
    return Prepared(
        ask=ask,
        request=engine_request if left else None,
        ignored=tuple(dict.fromkeys(unknown)),
        catalogue=catalogue,
    )


async def recommend(asks: Sequence[Ask], parts: Parts, record: RequestRecord) -> list[RecommendResponse]:
    """Answer asks, in order.

    Raises:
        ApiError: the engine cannot answer now.
    """

    async def attempt(catalogue: PolicyCatalogue) -> list[RecommendResponse]:
        prepared = [prepare(ask, catalogue) for ask in asks]
        asked = [one.request for one in prepared if one.request is not None]
        with engine_errors(parts), record.stage("engine"):
            async with asyncio.timeout(parts.settings.engine_timeout_seconds):
                answers = iter(await parts.engine.recommend(asked) if asked else [])
        responses = []
        for one in prepared:
            responses.append(await respond(one, None if one.request is None else next(answers), parts, record))
            await asyncio.sleep(0)  # A response never waits, and a large batch of them would hold up everybody else.
        return responses

    return await with_served_policy(attempt, parts)


async def with_served_policy(attempt: Callable[[PolicyCatalogue], Awaitable[Result]], parts: Parts) -> Result:
    """Make an attempt with the catalogue that is served; once more where the policy was swapped meanwhile, so that the
    request no longer fits it.

    Raises:
        ApiError: no policy is served now, or the request met a replica of the engine with another one both times.
    """
    try:
        return await attempt(parts.watch.served())
    except RequestError:
        await parts.watch.look()
    try:
        return await attempt(parts.watch.served())
    except RequestError as error:
        raise ApiError("engine_not_ready", "the policy is being swapped just now; try again in a moment.") from error


async def respond(
    prepared: Prepared, answer: EngineAnswer | None, parts: Parts, record: RequestRecord
) -> RecommendResponse:
    """The client's response. Its evidence is kept when this returns, so it may be sent.

    Args:
        prepared: what was asked.
        answer: of the engine; None where no item was left to ask for.
        parts: of the app.
        record: takes note of it.
    """
    mode, degraded = prepared.ask.request.mode, prepared.ask.history.degraded
    if degraded is not None:
        record.degraded = degraded
        parts.metrics.degraded.labels(degraded).inc()
    catalogue = prepared.catalogue
    response = RecommendResponse(
        request_id=prepared.ask.request_id,
        policy_version=catalogue.version,
        mode=mode,
        items=(),
        degraded=degraded is not None,
        degraded_reason=degraded,
        ignored_items=prepared.ignored,
    )
    if answer is not None and prepared.request is not None:
        parts.metrics.observe_answer(mode, answer, record.seconds["engine"])
        catalogue = await parts.watch.follow(answer.policy_version)
        explainer = Explainer(prepared.request.history, catalogue)
        parts.metrics.illegal_items.inc(sum(item.item_id not in catalogue for item in answer.items))
        response = response.model_copy(
            update={
                "policy_version": answer.policy_version,
                "items": tuple(_item(item, catalogue, explainer) for item in answer.items),
                "reasoning": _reasoning(answer),
            }
        )
    if parts.evidence is not None:
        parts.evidence.keep(prepared, response, catalogue, record)
    return response


@contextmanager
def engine_errors(parts: Parts) -> Iterator[None]:
    """Turn what goes wrong with the engine into what the client is told."""
    try:
        yield
    except TimeoutError as error:
        seconds = parts.settings.engine_timeout_seconds
        raise ApiError("engine_timeout", f"the policy engine gave no answer in {seconds:g} seconds.") from error
    except EngineBusyError as error:
        raise ApiError("engine_overloaded", "too many requests wait for the policy engine.") from error
    except EngineNotReadyError as error:
        parts.watch.engine_failed(error)
        raise ApiError("engine_not_ready", "the policy engine went away; it is being started again.") from error


def _item(item: RankedItem, catalogue: PolicyCatalogue, explainer: Explainer) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id,
        title=item.title,
        score=item.score,
        tokens=item.tokens,
        categories=catalogue.categories(item.item_id) if item.item_id in catalogue else (),
        why=explainer.explain(item.item_id, item.tokens),
    )


def _reasoning(answer: EngineAnswer) -> Reasoning | None:
    if answer.chain is None:
        return None
    return Reasoning(chain=answer.chain, readable=answer.readable_chain or answer.chain, cited=answer.cited)
