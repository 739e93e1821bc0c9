"""Feedback in an S3 store: all that arrived in a stretch of time of any length, for a retraining."""

from pathlib import Path

from gream.monitoring.evidence import FEEDBACK, HOUR, Window
from gream.monitoring.evidence_store import HOURS, fetch_evidence
from gream.monitoring.feedback_reader import hour_of
from gream.objectstore.bucket import Bucket
from gream.objectstore.uri import ArtifactUri


def pull_feedback(uri: str, window: Window, folder: Path) -> int:
    """Download the parts that `read_feedback` looks at for a window, as far as the folder lacks them.

    What the store has no longer, and what is older than the window, is deleted in the folder: events that were erased
    train nothing, and a workspace does not grow with the shop's years.

    Args:
        uri: see `gream.monitoring.evidence_store.push_evidence`.
        window: the window; one listing of the store finds its hours, however many these are.
        folder: where they go.

    Returns:
        How many came down.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: the store does not answer or refuses; call again.
    """
    place = ArtifactUri.parse_unpinned(uri)
    bucket = Bucket.from_environment(place.bucket)
    hours = range(window.start // HOUR, (window.end - 1) // HOUR + 1)
    (folder / FEEDBACK).mkdir(parents=True, exist_ok=True)
    parts, stored = {}, bucket.sizes(f"{place.prefix}/{FEEDBACK}")
    for key, size in sorted(stored.items()):
        name = key.removeprefix(f"{place.prefix}/")
        _, *hour, part = name.split("/")
        if len(hour) == 2 and hour_of(*hour) in hours and part.startswith("part-"):
            parts[folder / name] = (key, size)
    pulled = fetch_evidence(bucket, parts)
    for file in (folder / FEEDBACK).glob(f"{HOURS}/part-*"):
        found = hour_of(file.parent.parent.name, file.parent.name)
        key = f"{place.prefix}/{file.relative_to(folder).as_posix()}"
        if key not in stored or found is None or found < hours.start:
            file.unlink(missing_ok=True)
    return pulled
