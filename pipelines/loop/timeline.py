"""What happened in a loop: days, decisions, moves of the champion; as JSON, and as tables for a terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from gream.artifacts import write_text_atomic
from gream.evaluation.metrics import Interval, bootstrap_interval

Act = Literal["reference", "quiet", "shift", "after", "rolled back"]
ACTS: Final[dict[Act, str]] = {
    "reference": "reference days",
    "quiet": "quiet days",
    "shift": "after the shift, before the retrained champion",
    "after": "with the retrained champion",
    "rolled back": "after the rollback",
}
RESAMPLES: Final = 2_000


class Entry(BaseModel):
    """Base of what is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DayEntry(Entry):
    """A day.

    Attributes:
        number: from 1 on.
        act: see `ACTS`.
        start: in seconds since 1970 (UTC).
        hits: for each visit, whether the list held what was taken.
        hits_before: whether the list of the champion before the retraining would have; empty where nobody asked.
        failed: requests that failed.
        versions: policies that answered.
        action: what the monitor decided at night.
        alarms: names of the monitors and counts that alarmed.
    """

    number: int
    act: Act
    start: int
    hits: tuple[bool, ...]
    hits_before: tuple[bool, ...] = ()
    failed: int
    versions: tuple[str, ...]
    action: str
    alarms: tuple[str, ...]

    @property
    def hit_rate(self) -> float:
        """Share of the visits whose list held what was taken."""
        return float(np.mean(self.hits))


class Event(Entry):
    """Something that happened at the end of a day."""

    day: int
    text: str


class Check(Entry):
    """Something that the loop should show, and whether it did; `text` is a sentence with the numbers."""

    holds: bool
    text: str


class Timeline(Entry):
    """The whole, in order."""

    days: tuple[DayEntry, ...]
    events: tuple[Event, ...]
    checks: tuple[Check, ...]
    seconds: float

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_text_atomic(path, self.model_dump_json(indent=2) + "\n")

    def table(self) -> str:
        """For a terminal: events by day, hit rates by act, and what holds."""
        return "\n".join([*self._calendar(), "", *self._acts(), "", *self._checks()])

    def _calendar(self) -> Iterator[str]:
        yield "day  act           hit rate  champion       the monitor's decision, and what followed"
        for day in self.days:
            alarms = f" ({', '.join(day.alarms)})" if day.alarms else ""
            version = " ".join(day.versions)
            yield f"{day.number:>3}  {day.act:<12}  {day.hit_rate:>8.3f}  {version:<13}  {day.action}{alarms}"
            yield from (f"{'':>43}  {event.text}" for event in self.events if event.day == day.number)

    def _acts(self) -> Iterator[str]:
        yield f"{'hit rate (the film that was taken was among ten)':<50}{'days':>5}{'visits':>8}"
        for act, name in ACTS.items():
            days = [day for day in self.days if day.act == act]
            if days:
                rate = hit_rate(days)
                visits = sum(len(day.hits) for day in days)
                yield f"  {name:<48}{len(days):>5}{visits:>8}   {rate.value:.3f} [{rate.low:.3f}, {rate.high:.3f}]"

    def _checks(self) -> Iterator[str]:
        yield from (f"  {'+' if check.holds else '!'} {check.text}" for check in self.checks)


def hit_rate(days: Sequence[DayEntry]) -> Interval:
    """Over all visits of some days, with its 95% bootstrap interval."""
    return bootstrap_interval(np.concatenate([np.array(day.hits, dtype=float) for day in days]), resamples=RESAMPLES)
