"""`GET /items`, `GET /items/{item_id}`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from gream.data.text import ID_CHARACTERS
from serving.api.errors import ApiError, error_responses
from serving.api.models import ItemsView, ItemView
from serving.api.parts import UsesParts

router = APIRouter(tags=["items"])


@router.get("/items", responses=error_responses("engine_not_ready"))
async def search_items(
    parts: UsesParts,
    query: Annotated[str, Query(max_length=256, description="Words of a title, in any order.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ItemsView:
    """Items of the served catalogue whose titles hold every word of the query."""
    catalogue = parts.watch.catalogue
    async with parts.searching:
        # Searching many titles takes its time, so it runs beside the event loop.
        found = await asyncio.to_thread(catalogue.search, query, limit)
    return ItemsView(items=tuple(catalogue.item(item_id) for item_id in found))


# Ids may hold slashes.
@router.get("/items/{item_id:path}", responses=error_responses("unknown_item", "engine_not_ready"))
async def get_item(item_id: Annotated[str, Path(max_length=ID_CHARACTERS)], parts: UsesParts) -> ItemView:
    """An item of the served catalogue, with its index tokens."""
    catalogue = parts.watch.catalogue
    if item_id not in catalogue:
        raise ApiError("unknown_item", "the served catalogue has no such item.")
    return catalogue.item(item_id)
