"""`GET /users`, `GET /users/{user_id}/history`."""

from typing import Annotated

import polars as pl
from fastapi import APIRouter, Path, Query

from gream import columns
from gream.data.text import ID_CHARACTERS
from serving.api.catalogue import PolicyCatalogue
from serving.api.errors import ApiError, error_responses
from serving.api.models import HistoryEntry, HistoryView, UsersView
from serving.api.parts import UsesParts, UsesRecord
from serving.contracts import FeatureStoreError

router = APIRouter(tags=["users"])


# Not `async`: it reads a file.
@router.get("/users", responses=error_responses("not_found"))
def sample_users(
    parts: UsesParts,
    query: Annotated[str, Query(max_length=256, description="How the ids begin.")] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> UsersView:
    """Some user ids, to try the API with. Only where the server is told to (`GREAM_SAMPLE_USERS`)."""
    if parts.settings.sample_users is None:
        raise ApiError("not_found", "this server lists no users.")
    ids = pl.scan_parquet(parts.settings.sample_users).select(pl.col(columns.USER).unique())
    found = ids.filter(pl.col(columns.USER).str.starts_with(query)).sort(columns.USER).head(limit).collect()
    return UsersView(users=tuple(found[columns.USER].to_list()))


@router.get(
    "/users/{user_id:path}/history",  # Ids may hold slashes.
    responses=error_responses("unknown_user", "engine_not_ready", "features_unavailable"),
)
async def get_history(
    user_id: Annotated[str, Path(max_length=ID_CHARACTERS)], parts: UsesParts, record: UsesRecord
) -> HistoryView:
    """A user's history as the feature store knows it, oldest first."""
    catalogue = parts.watch.catalogue
    try:
        with record.stage("features"):
            found = (await parts.histories.read([user_id])).get(user_id)
    except FeatureStoreError as error:
        raise ApiError("features_unavailable", "the feature store does not answer now.") from error
    if found is None:
        raise ApiError("unknown_user", "the feature store has no such user.")
    events = zip(found.item_ids, found.timestamps, strict=True)
    return HistoryView(user_id=user_id, entries=tuple(_entry(item, time, catalogue) for item, time in events))


def _entry(item_id: str, timestamp: int, catalogue: PolicyCatalogue) -> HistoryEntry:
    if item_id not in catalogue:
        return HistoryEntry(item_id=item_id, timestamp=timestamp)
    return HistoryEntry(
        item_id=item_id, title=catalogue.title(item_id), tokens=catalogue.tokens(item_id), timestamp=timestamp
    )
