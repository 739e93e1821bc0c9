"""What the monitors want to know of an answer, kept before the answer is sent."""

import json
import time
from collections import Counter
from collections.abc import Sequence

from gream.monitoring.evidence import RequestEvidence, user_hash
from serving.api.asked import Ask, Prepared
from serving.api.catalogue import PolicyCatalogue
from serving.api.models import RecommendResponse
from serving.api.record import RequestRecord
from serving.contracts import FIRST_CLOCK
from serving.evidence.journal import Journal


class AnswerEvidence:
    """Turns answers into evidence, and keeps it."""

    def __init__(self, key: str, journal: Journal) -> None:
        """Args:
        key: of the user hashes.
        journal: that keeps it.
        """
        self._key = key
        self._journal = journal

    def start(self) -> None:
        """See `Journal`."""
        self._journal.start()

    def stop(self) -> None:
        """See `Journal`."""
        self._journal.stop()

    def keep(
        self, prepared: Prepared, response: RecommendResponse, catalogue: PolicyCatalogue, record: RequestRecord
    ) -> None:
        """Keep the evidence of one answer; of a batch, the times are those of the whole.

        Args:
            prepared: what was asked.
            response: the answer.
            catalogue: of the policy that answered.
            record: with the times.
        """
        history = prepared.ask.history
        known, unknown = catalogue.split_known(history.item_ids)
        now = int(time.time())
        by_user = prepared.ask.request.user_id is not None
        evidence = RequestEvidence(
            request_id=response.request_id,
            timestamp=now,
            user=user_hash(_identity(prepared.ask), self._key),
            history_length=len(history.item_ids),
            seconds_since_last=_age(history.last_at, now),
            last_level1=catalogue.level1(known[-1]) if known else None,
            top_category=_top_category(known, catalogue),
            unknown_items=len(unknown),
            cold=not known,
            mode=response.mode,
            policy_version=response.policy_version,
            degraded=response.degraded_reason,
            engine_ms=None if prepared.request is None else 1_000 * record.seconds["engine"],
            features_ms=1_000 * record.seconds["features"] if by_user else None,
            total_ms=1_000 * record.elapsed,
            items=tuple(item.item_id for item in response.items),
            scores=tuple(item.score for item in response.items),
        )
        self._journal.keep(evidence)


def _age(last_at: int | None, now: int) -> int | None:
    if last_at is None or last_at < FIRST_CLOCK:
        return None
    return max(0, now - last_at)  # An event may be ahead of this clock by as much as clocks differ.


def _identity(ask: Ask) -> str:
    """Whom the answer is for: the user, or whoever has this history. As JSON, no two histories read the same."""
    return json.dumps(ask.history.item_ids) if ask.request.user_id is None else ask.request.user_id


def _top_category(item_ids: Sequence[str], catalogue: PolicyCatalogue) -> str | None:
    """The category that most of the items carry, of several the one that is met first; None where none carries any."""
    carried = Counter(category for item_id in item_ids for category in dict.fromkeys(catalogue.categories(item_id)))
    return carried.most_common(1)[0][0] if carried else None
