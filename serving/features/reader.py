"""The feature store as the API sees it: `UserFeatures` on Feast's online store.

A history is what the catalog has (`user_history`, materialised) and what happened since (`user_recent_events`, pushed).
Pushing replaces the row of recent events by a longer one. It is dated by when it is written, and at least a second
after the row that it replaces: Redis drops rows that are not newer.

Pushes go through a store of their own. Feast's sqlite store has one connection for all threads and writes a row feature
by feature: whoever reads through the same connection sees the half that is written, through another one the whole row
before or after.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
from feast import FeatureStore

from feature_repo.names import (
    EVENT_TIMESTAMP,
    ITEM_IDS,
    PUSH_SOURCE,
    RECENT_ITEM_IDS,
    RECENT_TIMESTAMPS,
    TIMESTAMPS,
    USER_HISTORY,
    USER_RECENT_EVENTS,
)
from gream import columns
from serving.contracts import FeatureStoreError, FeedbackEvent, UserHistory
from serving.features.history import NO_HISTORY, extend
from serving.features.locks import pushing_alone
from serving.features.store import OUTAGES, open_store, outages_named
from serving.settings import ServingSettings

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_READERS: Final = 16
"""Reads in progress at most; more wait, within their own time-outs."""


@dataclass(frozen=True)
class _View:
    """A feature view that holds events of users, as two aligned features."""

    name: str
    item_ids: str
    timestamps: str


_CATALOG: Final = _View(USER_HISTORY, ITEM_IDS, TIMESTAMPS)
_RECENT: Final = _View(USER_RECENT_EVENTS, RECENT_ITEM_IDS, RECENT_TIMESTAMPS)


@dataclass(frozen=True)
class _Row:
    """A user's events in one view, and since when the row has been valid."""

    history: UserHistory
    since: datetime


class FeastUserFeatures:
    """Histories of users; safe to use from several threads.

    Attributes:
        store: Feast's store behind it, for reading.
    """

    def __init__(self, settings: ServingSettings) -> None:
        self.store = open_store(settings)
        self._pushing = open_store(settings)
        self._settings = settings
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="features")

    def history(self, user_id: str) -> UserHistory | None:
        """The user's history, or None where the store does not know them; raises as `histories_of`."""
        return self.histories_of([user_id]).get(user_id)

    def histories_of(self, user_ids: Collection[str]) -> dict[str, UserHistory]:
        """The histories of these users, by their ids, read together; those whom the store does not know are left out.

        Raises:
            FeatureStoreError: the online store did not answer within the time-out.
        """
        # The time-out of a socket is for each of its steps, and a locked file has another one: this is for the whole.
        seconds = self._settings.feature_timeout_seconds
        reading = self._readers.submit(self._histories_of, list(user_ids))
        try:
            return reading.result(seconds)
        except OUTAGES as error:
            reading.cancel()
            raise FeatureStoreError(f"the online store did not answer within {seconds} s") from error

    def push(self, events: Sequence[FeedbackEvent]) -> None:
        """Add clicks and purchases to the histories of their users; pushing an event again changes nothing.

        Raises:
            FeatureStoreError: nothing can be written now; push the same events again later.
        """
        by_user: dict[str, list[tuple[int, str]]] = {}
        for event in events:
            if event.kind != "impression":
                by_user.setdefault(event.user_id, []).append((event.timestamp, event.item_id))
        if by_user:
            with outages_named(self._settings), pushing_alone(self._pushing, self._settings):
                self._push(by_user)

    def close(self) -> None:
        """Let the threads go."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def _histories_of(self, users: list[str]) -> dict[str, UserHistory]:
        rows = zip(users, *_read(self.store, users, _CATALOG, _RECENT), strict=True)
        return {user: self._history(catalog, recent) for user, catalog, recent in rows if catalog or recent}

    def _history(self, catalog: _Row | None, recent: _Row | None) -> UserHistory:
        before = catalog.history if catalog else NO_HISTORY
        if recent is None:
            return before
        events = zip(recent.history.timestamps, recent.history.item_ids, strict=True)
        return extend(before, events, self._settings.history_window)

    def _push(self, by_user: dict[str, list[tuple[int, str]]]) -> None:
        users = list(by_user)
        [rows] = _read(self._pushing, users, _RECENT)
        longer: dict[str, _Row] = {}
        for user, row in zip(users, rows, strict=True):
            before = row or _Row(NO_HISTORY, _NEVER)
            history = extend(before.history, by_user[user], self._settings.history_window)
            if history is not before.history:
                longer[user] = _Row(history, _after(before.since))
        if longer:
            self._write(longer)

    def _write(self, rows: dict[str, _Row]) -> None:
        frame = pl.DataFrame(
            {
                columns.USER: list(rows),
                EVENT_TIMESTAMP: [row.since for row in rows.values()],
                RECENT_ITEM_IDS: [row.history.item_ids for row in rows.values()],
                RECENT_TIMESTAMPS: [row.history.timestamps for row in rows.values()],
            }
        )
        self._pushing.push(PUSH_SOURCE, frame.to_pandas())


def _read(store: FeatureStore, users: list[str], *views: _View) -> list[list[_Row | None]]:
    """For each view the rows of the users, None for those whom it does not know."""
    # A list of its own for each call, see feast#6841.
    features = [f"{view.name}:{feature}" for view in views for feature in (view.item_ids, view.timestamps)]
    answer = store.get_online_features(features, [{columns.USER: user} for user in users]).proto
    column = dict(zip(answer.metadata.feature_names.val, answer.results, strict=True))
    return [_rows(column[view.item_ids], column[view.timestamps]) for view in views]


def _rows(item_ids: Any, timestamps: Any) -> list[_Row | None]:
    """The rows in two columns of Feast's answer (`GetOnlineFeaturesResponse.FeatureVector`)."""
    return [
        _Row(
            UserHistory(item_ids=tuple(ids.string_list_val.val), timestamps=tuple(seconds.int64_list_val.val)),
            since.ToDatetime(tzinfo=UTC),
        )
        if ids.HasField("string_list_val")
        else None
        for ids, seconds, since in zip(item_ids.values, timestamps.values, item_ids.event_timestamps, strict=True)
    ]


def _after(since: datetime) -> datetime:
    """Now, but later than `since`; in whole seconds, which every store keeps."""
    return max(datetime.now(UTC), since + timedelta(seconds=1)).replace(microsecond=0)
