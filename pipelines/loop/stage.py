"""The acts: a champion is trained and served, watched in quiet, overtaken by a shift, retrained, gated, promoted; a bad
challenger is refused, and the champion is rolled back. The monitor decides everything up to there.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import click

from gream import columns
from gream.data.importers import import_catalog
from gream.evaluation.cases import Cases
from gream.monitoring.calibration import CalibrationSettings
from gream.monitoring.decision import DecisionSettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import RUNS, Decision, Outcome
from gream.monitoring.patrol import Patrol, Places
from gream.monitoring.settings import MonitoringSettings
from gream.policy import Policy
from gream.promotion.champion import PromotionError, install, open_champion, predecessor, promote, roll_back
from gream.promotion.measure import Candidate
from gream.promotion.verdict import Verdict
from pipelines.loop.bad_challenger import judge_bad_challenger
from pipelines.loop.calendar import DAY_SECONDS, close_day, open_day
from pipelines.loop.server import served, wait_for_version
from pipelines.loop.timeline import Act, DayEntry, Event
from pipelines.loop.traffic import LIST_LENGTH, Day, play_day
from pipelines.loop.world import Shift, World
from pipelines.monitor.local_runs import LocalRuns

PROFILE: Final = Path(__file__).with_name("loop.toml")
REFERENCE_DAYS: Final = 5
QUIET_DAYS: Final = 5
PATIENCE_DAYS: Final = 9
"""Days after the shift on which a retraining must have been decided."""
AFTER_DAYS: Final = 4

SETTINGS: Final = MonitoringSettings(
    window_seconds=DAY_SECONDS,
    match_seconds=6,
    grace_seconds=0,
    hold_out_seconds=2 * DAY_SECONDS,
    calibration=CalibrationSettings(min_windows=REFERENCE_DAYS),
    decision=DecisionSettings(cooldown_seconds=3 * DAY_SECONDS, index_cooldown_seconds=DAY_SECONDS, quality_windows=3),
)
"""On a calendar of short days, and patient: with two days held out for the gate, a retraining on the first alarm would
have a single day of the new world to learn from."""


@dataclass
class Stage:
    """One performance, in a folder of its own.

    Attributes:
        folder: receives everything.
        visits: visitors of a day.
        seed: of training and of the world.
        days: what was played.
        events: what happened at the end of which day.
    """

    folder: Path
    visits: int
    seed: int
    days: list[DayEntry] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Find out who comes, before anything starts."""
        self._key = secrets.token_hex(16)
        self._catalog = self.folder / "catalog"
        self._champion = str(self.folder / "champion")
        self._decisions = str(self.folder / "decisions.jsonl")
        self._evidence = self.folder / "serving" / "evidence"
        self._workspace = self.folder / "workspace"
        self._world = World(import_catalog("movielens-100k", k_core=5), int(time.time()), self.seed)
        self._url = ""
        self._before: Candidate | None = None

    def train(self) -> None:
        """The first champion, by the training pipeline, on the past."""
        from pipelines.local import LocalRun, run_locally

        self._world.past.save(self._catalog)
        trained = run_locally(
            LocalRun(
                data=str(self._catalog),
                profile=str(PROFILE),
                overrides=(),
                seed=self.seed,
                seen_items="as-dataset",
                workspace=self._workspace,
                out=self.folder / "training",
            )
        )
        install(open_champion(self._champion), trained / "policy")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve the champion while the block runs."""
        policy, log = Path(self._champion) / "current" / "policy", self.folder / "serve.log"
        with served(policy, self._catalog, self.folder / "serving", log, self._key) as self._url:
            yield

    def quiet(self) -> None:
        """Days on which nothing changes: the reference, and some more."""
        for _ in range(REFERENCE_DAYS):
            self._day("reference", None)
        for _ in range(QUIET_DAYS):
            self._day("quiet", None)

    def shift(self) -> None:
        """New films, another taste, other users: until the champion was retrained, or patience ends."""
        self._world.grown.save(self._catalog)
        films = len(self._world.grown.items) - len(self._world.past.items)
        self._note(f"{films} new films come in; tastes and users change.")
        for _ in range(PATIENCE_DAYS):
            self._day("shift", Shift())
            outcomes = [one for one in DecisionLog(self._decisions).entries() if isinstance(one, Outcome)]
            if any(outcome.result == "promoted" for outcome in outcomes):
                return

    def after(self) -> None:
        """The shift lasts; the retrained champion serves. The one before is asked what it would have shown."""
        before = predecessor(open_champion(self._champion).history())
        if before is None:
            return
        policy = Policy.load(Path(self._champion) / "versions" / before.digest)
        self._before = Candidate("before", policy, frozenset(policy.items[columns.ITEM]))
        for _ in range(AFTER_DAYS):
            self._day("after", Shift())
        self._before = None

    def refuse_a_bad_challenger(self) -> Verdict:
        """The champion with noise in its weights, at the gate; to promote it all the same is tried."""
        place, until = open_champion(self._champion), self.days[-1]
        bundle, verdict = judge_bad_challenger(
            champion=Path(self._champion) / "current" / "policy",
            catalog=self._catalog,
            evidence=self._evidence,
            workspace=self._workspace,
            profile=PROFILE,
            hold_out=(until.start - DAY_SECONDS, until.start + DAY_SECONDS),
        )
        try:
            promote(place, bundle, verdict)
        except PromotionError as error:
            self._note(f"A challenger with noise in its weights: {error}")
        return verdict

    def roll_back(self) -> str:
        """Back to the champion before, and a day with it; the version."""
        before = roll_back(open_champion(self._champion))
        self._note(f"Rolled back to {before.version}.")
        wait_for_version(self._url, before.version)
        start = open_day()
        day = play_day(self._url, self._world, len(self.days) + 1, self.visits, Shift())
        self._keep("rolled back", start, day, None)
        return before.version

    def _day(self, act: Act, shift: Shift | None) -> None:
        """Visitors by day, the monitor at night."""
        start = open_day()
        day = play_day(self._url, self._world, len(self.days) + 1, self.visits, shift)
        now = close_day(start)
        decided = self._patrol().round(now)
        self._keep(act, start, day, decided[-1] if decided else None)
        for decision in decided:
            if decision.action in RUNS:
                outcome = self._outcome(decision)
                self._note(f"{decision.action}: {outcome.result}. {outcome.text}")
                wait_for_version(self._url, self._now())

    def _keep(self, act: Act, start: int, day: Day, decision: Decision | None) -> None:
        self.days.append(
            DayEntry(
                number=len(self.days) + 1,
                act=act,
                start=start,
                hits=day.hits,
                hits_before=self._hits_before(day.cases),
                failed=day.failed,
                versions=tuple(day.versions),
                action=decision.action if decision else "-",
                alarms=decision.report.alarms if decision else (),
            )
        )
        entry = self.days[-1]
        alarms = f"  alarms: {', '.join(entry.alarms)}" if entry.alarms else ""
        click.echo(f"day {entry.number:>2}, {act}: hit rate {entry.hit_rate:.3f}, {entry.action}{alarms}", err=True)

    def _hits_before(self, cases: Cases) -> tuple[bool, ...]:
        if self._before is None:
            return ()
        lists = self._before.lists(cases, exclude_seen=True, k=LIST_LENGTH, progress=False)
        return tuple(item in shown for item, shown in zip(cases.targets, lists, strict=True))

    def _note(self, text: str) -> None:
        self.events.append(Event(day=len(self.days), text=text))
        click.echo(f"    {text}", err=True)

    def _outcome(self, decision: Decision) -> Outcome:
        entries = DecisionLog(self._decisions).entries()
        return next(one for one in entries if isinstance(one, Outcome) and one.decision == decision.id)

    def _now(self) -> str:
        champion = open_champion(self._champion).read()
        assert champion is not None  # It was installed before the first day.
        return champion.version

    def _patrol(self) -> Patrol:
        places = Places(
            champion=self._champion,
            catalog=str(self._catalog),
            evidence=str(self._evidence),
            decisions=self._decisions,
            calibrations=str(self.folder / "calibrations"),
            evidently=str(self.folder / "evidently"),
            alertmanager="",
            cache=self.folder / "cache",
        )
        runs = LocalRuns(
            champion=self._champion,
            data=str(self._catalog),
            evidence=str(self._evidence),
            decisions=self._decisions,
            canary="",
            profile=str(PROFILE),
            overrides=(),
            workspace=self._workspace,
            out=self.folder / "retraining",
        )
        return Patrol(places, self._key, SETTINGS, runs)
