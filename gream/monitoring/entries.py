"""What the record of decisions holds: decisions, what became of the runs they started, and what people ordered."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from gream.monitoring.judgement import Record, WindowReport
from gream.promotion.verdict import Verdict

Action = Literal["nothing", "warn", "index_new_items", "retrain", "page"]
Result = Literal["promoted", "refused", "indexed", "failed", "withdrawn"]
"""How a run ends; `withdrawn` are challengers that lost their trial."""
RUNS: tuple[Action, ...] = ("index_new_items", "retrain")
"""Actions that start a run; one run at a time."""

Text = Annotated[str, Field(min_length=1)]
Time = Annotated[int, Field(ge=0)]
"""Seconds since 1970 (UTC)."""
NO_END: Final = 253_402_300_799
"""The last second of the year 9999: a number too, for the release before has to read the record as well."""


class Decision(Record):
    """What was decided on a window, with its evidence.

    Attributes:
        id: of the champion and the window; one decision each.
        at: when.
        action: what is to be done.
        reasons: sentences.
        override: id of the override that asked for it, where one did.
        report: of the window.
    """

    kind: Literal["decision"] = "decision"
    id: Text
    at: Time
    action: Action
    reasons: tuple[Text, ...]
    override: str | None = None
    report: WindowReport


class Trial(Record):
    """The challenger of a run passed the gate and answers a share of the visitors, until the run has its outcome.

    Attributes:
        decision: id of the decision that started the run.
        at: when the trial began.
        verdict: of the gate; it names the two.
    """

    kind: Literal["trial"] = "trial"
    decision: Text
    at: Time
    verdict: Verdict


class Outcome(Record):
    """How a run ended that a decision started; until it is there, the run counts as running."""

    kind: Literal["outcome"] = "outcome"
    decision: Text
    at: Time
    result: Result
    text: str = ""


class Freeze(Record):
    """Somebody's order that no run is to start; without `until`, until a `Thaw`."""

    kind: Literal["freeze"] = "freeze"
    at: Time
    by: Text
    reason: Text
    until: Time | None = None


class Thaw(Record):
    """The end of a freeze."""

    kind: Literal["thaw"] = "thaw"
    at: Time
    by: Text


class Override(Record):
    """Somebody's order what the next decision is to be, once, unless `until` comes first.

    It replaces what the monitors ask for, not what forbids a run. Without an end it waits: the window of a champion
    that has just moved in may be decided days later.
    """

    kind: Literal["override"] = "override"
    id: Text
    at: Time
    by: Text
    action: Action
    reason: Text
    until: Time = NO_END

    def ran_out(self, now: int) -> bool:
        """Whether its time is over."""
        return now >= self.until


Entry = Decision | Trial | Outcome | Freeze | Thaw | Override
ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="kind")])
"""Reads one line of the record."""


def clock(at: int) -> str:
    """A time for people.

    >>> clock(1_795_595_100)
    '2026-11-25 08:25 UTC'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
