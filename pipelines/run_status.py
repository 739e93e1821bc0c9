"""A run of KFP as a table: its state, and that of each step."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipelines.pods import PODS

SUCCEEDED: Final = "SUCCEEDED"
ENDED: Final = frozenset({SUCCEEDED, "FAILED", "CANCELED", "SKIPPED"})
NUMBER: Final = re.compile(r"-\d+$")
"""What KFP adds to the name of a component that a pipeline has twice."""


@dataclass(frozen=True)
class Step:
    """One execution of a step; a step in a loop has several.

    Attributes:
        name: of its component, with KFP's number where a pipeline has it twice.
        state: in KFP's words.
        started: None where it has not begun.
        ended: None where it has not ended.
        error: what KFP says of a failure.
        pods: names of its pods, one for each attempt.
    """

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    error: str
    pods: tuple[str, ...]

    def line(self, now: datetime) -> str:
        """For a terminal."""
        time = _duration((self.ended or now) - self.started) if self.started else ""
        return f"  {self.name:14} {self.state:10} {time:>12}  {self.error}".rstrip()


@dataclass(frozen=True)
class RunStatus:
    """A run.

    Attributes:
        name: as it was started.
        state: in KFP's words.
        error: what KFP says of a failure.
        steps: in the order in which they began; those that have not, last.
    """

    name: str
    state: str
    error: str
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, run: Any) -> "RunStatus":
        """From what the server says (`V2beta1Run`)."""
        tasks = list(run.run_details.task_details or []) if run.run_details else []
        known = {task.task_id: task for task in tasks}
        # KFP also lists what is its own: drivers, loops, handlers.
        steps = [_step(task, known) for task in tasks if NUMBER.sub("", task.display_name) in PODS]
        steps.sort(key=lambda step: step.started or datetime.max.replace(tzinfo=UTC))
        error = run.error.message if run.error else ""
        return cls(run.display_name, run.state or "PENDING", error, tuple(steps))

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def table(self, now: datetime) -> str:
        """For a terminal."""
        head = [f"{self.name}: {self.state}", *([f"  {self.error}"] if self.error else [])]
        return "\n".join([*head, *(step.line(now) for step in self.steps)])


def _step(task: Any, known: Mapping[str, Any]) -> Step:
    return Step(
        name=task.display_name,
        state=task.state or "PENDING",
        started=_moment(task.start_time),
        ended=_moment(task.end_time),
        error=task.error.message if task.error else "",
        pods=tuple(_pods(task, known)),
    )


def _moment(stamp: datetime | None) -> datetime | None:
    """KFP says 1970 for what has not happened yet."""
    return stamp if stamp and stamp.timestamp() > 0 else None


def _pods(task: Any, known: Mapping[str, Any]) -> Iterator[str]:
    """Names of the pods below a task; KFP names a child by its task or by its pod."""
    for child in task.child_tasks or []:
        below = known.get(child.task_id or child.pod_name)
        if below is not None and below.child_tasks:
            yield from _pods(below, known)
        else:
            yield child.pod_name or child.task_id


def _duration(time: timedelta) -> str:
    hours, rest = divmod(int(time.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
