"""Names that the definitions share with whoever writes and reads the features."""

from typing import Final

EVENT_TIMESTAMP: Final = "event_timestamp"
"""Of every offline row: the moment from which it is valid."""

USER_HISTORY: Final = "user_history"
ITEM_IDS: Final = "item_ids"
TIMESTAMPS: Final = "timestamps"

USER_RECENT_EVENTS: Final = "user_recent_events"
RECENT_ITEM_IDS: Final = "recent_item_ids"
RECENT_TIMESTAMPS: Final = "recent_timestamps"
PUSH_SOURCE: Final = "user_events"
"""Where whoever learns of new events pushes them."""

USER_STATISTICS: Final = "user_statistics"
EVENT_COUNT: Final = "event_count"
FIRST_EVENT: Final = "first_event"
LAST_EVENT: Final = "last_event"
MEAN_GAP: Final = "mean_gap"

ITEM_FEATURES: Final = "item_features"
POPULARITY: Final = "popularity"
