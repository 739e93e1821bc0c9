"""The record of decisions: JSON lines, only ever appended to, in a folder or in an S3 store."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError

from gream.documents import open_document
from gream.errors import ArtifactError
from gream.monitoring.decision import DecisionSettings, decide
from gream.monitoring.entries import ENTRY, Decision, Entry, Outcome, Trial
from gream.monitoring.judgement import WindowReport

Step = TypeVar("Step", Trial, Outcome)
"""An entry about a run, of which a run has one."""


class DecisionLog:
    """The record at a path or `s3://bucket/key`. Several processes may use it at once."""

    def __init__(self, place: str) -> None:
        """Raise a `ConfigError` where the URI or the environment does not fit."""
        self._place = place
        self._document = open_document(place)

    def entries(self) -> list[Entry]:
        """All entries, oldest first; none where nothing was ever recorded.

        Raises:
            StoreError: the store does not answer.
            ArtifactError: a line is not an entry: without the whole record nothing is decided.
        """
        return self._parse(self._document.read().text)

    def decide(self, report: WindowReport, now: int, settings: DecisionSettings) -> Decision:
        """Decide on a window, and record the decision before anybody acts on it.

        Of several processes that decide at once, each sees what the others have recorded. A window that was decided
        before gets the same decision, so a caller that was killed may ask again; what it starts must be named by the
        decision's id.

        Args and errors: see `gream.monitoring.decision.decide` and `entries`.
        """
        while True:
            content = self._document.read()
            history = self._parse(content.text)
            decision = decide(report, history, now, settings)
            if decision in history or self._document.replace(_with(content.text, [decision]), content.tag):
                return decision

    def append(self, *entries: Entry) -> None:
        """Record entries.

        Raises:
            StoreError: the store does not answer.
        """
        while True:
            content = self._document.read()
            self._parse(content.text)
            if self._document.replace(_with(content.text, entries), content.tag):
                return

    def begin(self, trial: Trial) -> None:
        """Record that a run's challenger is on trial, unless the record says so already.

        Raises:
            StoreError, ArtifactError: see `close`.
        """
        self._once(trial)

    def close(self, outcome: Outcome) -> Outcome:
        """Record how a run ended, unless the record says so already.

        Returns:
            What the record says now: of several outcomes of one decision, the first.

        Raises:
            StoreError: the store does not answer.
            ArtifactError: see `entries`.
        """
        return self._once(outcome)

    def _once(self, fresh: Step) -> Step:
        """Append an entry about a run, unless there is one of its kind."""
        while True:
            content = self._document.read()
            for entry in self._parse(content.text):
                if isinstance(entry, type(fresh)) and entry.decision == fresh.decision:
                    return entry
            if self._document.replace(_with(content.text, [fresh]), content.tag):
                return fresh

    def _parse(self, text: str) -> list[Entry]:
        if text and not text.endswith("\n"):
            raise ArtifactError(f"{self._place} does not end with a whole line: somebody else has written into it.")
        entries = []
        for number, line in enumerate(text.split("\n")[:-1], start=1):
            try:
                entries.append(ENTRY.validate_json(line))
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"]
                raise ArtifactError(
                    f"{self._place}, line {number}, is no entry of a decision log: {reason}."
                ) from error
        return entries


def _with(text: str, entries: Sequence[Entry]) -> str:
    return text + "".join(f"{entry.model_dump_json()}\n" for entry in entries)
