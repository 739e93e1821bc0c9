"""One round of the monitor: every window that is over and has not been decided yet, and the runs that decisions start.

What a schedule calls. A round may be killed anywhere and called again: a window is decided once, a run is named by its
decision and started once, and a calibration is made anew from the same windows. A run that was decided and never
started, because the round was killed in between or whoever runs it did not answer, is started by the next round.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gream.errors import ConfigError, GreamError
from gream.monitoring.calibration import Calibration, calibrate
from gream.monitoring.champion_view import ChampionView
from gream.monitoring.decision import freeze, on_trial, running
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import RUNS, Decision, Outcome, clock
from gream.monitoring.evidence import Evidence, Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.paging import PagingError, tell
from gream.monitoring.runs import RunOrder, Runs
from gream.monitoring.served_items import ServedItems
from gream.monitoring.settings import HOUR, MonitoringSettings
from gream.monitoring.watch import Watch, Watched
from gream.objectstore.uri import is_store_uri
from gream.promotion.champion import Champion, open_champion
from gream.promotion.trials import Trials

NO_CANARY = "a challenger is on trial, but the monitor was not told where the canary stands: give --canary."

STRETCH: Final = 4
"""Times the windows of a reference that are searched for healthy ones."""

_LOG = logging.getLogger("gream.monitor")


@dataclass(frozen=True)
class Places:
    """Where everything is; paths, or `s3://bucket/...` but for `cache`.

    Attributes:
        champion: see `gream.promotion.champion`.
        catalog: the shop's catalog as it is now.
        evidence: what serving writes.
        decisions: the record.
        calibrations: folder or prefix that keeps the champions' thresholds.
        evidently: workspace folder or URL of Evidently's UI; empty for no pages.
        alertmanager: URL of Prometheus' Alertmanager, for decisions that people must see; empty for none.
        cache: folder on this machine for what comes from a store.
        canary: where the canary stands, see `gream.promotion.canary`; empty where there is none.
    """

    champion: str
    catalog: str
    evidence: str
    decisions: str
    calibrations: str
    evidently: str
    alertmanager: str
    cache: Path
    canary: str = ""


class Patrol:
    """The monitor of one champion."""

    def __init__(self, places: Places, key: str, settings: MonitoringSettings, runs: Runs) -> None:
        """Args:
        places: see there.
        key: of the user hashes in the evidence.
        settings: see there.
        runs: where decisions start their runs.

        Raises:
            ConfigError: a URI or the environment does not fit.
        """
        self._places = places
        self._key = key
        self._settings = settings
        self._runs = runs
        self._log = DecisionLog(places.decisions)

    def round(self, now: int) -> list[Decision]:
        """Decide on every window that is due, oldest first, and start what was decided.

        Args:
            now: seconds since 1970 (UTC).

        Returns:
            The new decisions. Those before an error are recorded all the same.

        Raises:
            ConfigError: there is no champion, or a setting does not fit.
            ArtifactError: the record of decisions or an artifact is damaged.
            StoreError: a store does not answer; nothing is lost, the next round goes on.
            GreamError: a run could not be started or asked for; the windows were judged before that.
        """
        self._tell_again(now)
        trouble = self._settle(now)
        champion = self._champion()
        due = self._due(champion, now)
        # Most rounds find nothing due, and then ask a store for no more than the pointer and the record.
        decided = self._decide(champion, due, now) if due else []
        if trouble is not None:
            raise trouble
        return decided

    def _decide(self, champion: Champion, windows: Sequence[Window], now: int) -> list[Decision]:
        """Decide on windows and start what was decided."""
        places, decided = self._places, []
        view = ChampionView.open(places.champion, champion, places.catalog, places.cache)
        for window in windows:
            watched = self._judge(view, window, now)
            decided.append(watched.decision)
            self._tell(watched.decision)
            self._show(watched)
            if watched.decision.action in RUNS:
                self._runs.start(RunOrder.of(watched.decision, self._settings))
                break  # There may be another champion now.
        return decided

    def _settle(self, now: int) -> GreamError | None:
        """See to the canary and to the run that is under way; what went wrong, which is no reason not to judge."""
        try:
            if self._places.canary:
                self._trials().see_to(now)
            history = self._log.entries()
            run = running(history)
            if run is None:
                return None
            if on_trial(history):
                return None if self._places.canary else ConfigError(NO_CANARY)
            match self._runs.state(run.id):
                case "unknown" if (frozen := freeze(history, now)) is not None:
                    _LOG.warning("a run that was decided waits: frozen by %s, %s", frozen.by, frozen.reason)
                case "unknown":
                    _LOG.warning("the run that was decided at %s never started; it is started now", clock(run.at))
                    self._runs.start(RunOrder.of(run, self._settings))
                case "failed":
                    text = "The run ended without an outcome: look at it, and at who is the champion."
                    self._log.close(Outcome(decision=run.id, at=now, result="failed", text=text))
        except GreamError as error:
            return error
        return None

    def _trials(self) -> Trials:
        settings = self._settings

        def read(window: Window) -> Evidence:
            return read_evidence(self._evidence(window), window, settings.match_seconds, self._key)

        champion, canary = (open_champion(place) for place in (self._places.champion, self._places.canary))
        return Trials(champion, canary, self._log, settings, read, self._places.cache / "champions")

    def _champion(self) -> Champion:
        place = self._places.champion
        champion = open_champion(place).read()
        if champion is None:
            raise ConfigError(f"there is no champion at {place}: promote one first (`gream champion promote`).")
        return champion

    def _due(self, champion: Champion, now: int) -> list[Window]:
        """Windows of the champion that are over and undecided, oldest first."""
        length = self._settings.window_seconds
        since = self._first_start(champion)
        reports = [entry.report for entry in self._log.entries() if isinstance(entry, Decision)]
        ends = [report.end for report in reports if report.policy_version == champion.version]
        starts = range(max([since, *ends]), now - self._settings.grace_seconds - length + 1, length)
        return [Window(start, start + length) for start in starts]

    def _first_start(self, champion: Champion) -> int:
        """The first window that is the champion's from its beginning on."""
        length = self._settings.window_seconds
        return -(-int(champion.since.timestamp()) // length) * length

    def _judge(self, view: ChampionView, window: Window, now: int) -> Watched:
        version, folder = view.champion.version, self._evidence(window)
        calibration = self._calibration(version) or self._inherit(view) or self._calibrate(view, folder, window)
        watch = self._watch(folder, version, view.served.told_apart_by(calibration) if calibration else view.served)
        counts = view.counts(self._settings.catalogue)
        return watch.look(
            window,
            calibration or view.trained_taste(self._settings.skew, self._settings.calibration.min_users),
            counts,
            self._log,
            now,
            self._settings.decision,
        )

    def _evidence(self, window: Window) -> Path:
        """The folder of the evidence of a stretch of time."""
        place = self._places.evidence
        if not is_store_uri(place):
            return Path(place)
        from gream.monitoring.evidence_store import pull_evidence

        folder = self._places.cache / "evidence"
        pull_evidence(place, window, self._settings.match_seconds, folder)
        return folder

    def _calibration_place(self, version: str) -> str:
        return f"{self._places.calibrations.rstrip('/')}/{version}.json"

    def _calibration(self, version: str) -> Calibration | None:
        """A champion's thresholds; None as long as there are none."""
        return Calibration.load(self._calibration_place(version))

    def _watch(self, folder: Path, version: str, served: ServedItems) -> Watch:
        return Watch(folder, self._key, self._settings.match_seconds, version, served)

    def _inherit(self, view: ChampionView) -> Calibration | None:
        """A champion that only got new items answers as the one before: it takes over that one's thresholds, so that
        nothing goes unwatched after each indexing."""
        before = self._calibration(view.made_from) if view.made_from else None
        if before is None:
            return None
        version = view.champion.version
        before.inherited_by(version).save(self._calibration_place(version))
        return self._calibration(version)

    def _calibrate(self, view: ChampionView, folder: Path, window: Window) -> Calibration | None:
        """Make the champion's thresholds of its first healthy windows; None as long as these are too few.

        A shop that hardly ever has enough users is not searched from the beginning every time.
        """
        settings, version = self._settings.calibration, view.champion.version
        needed = settings.min_windows * self._settings.window_seconds
        since = max(self._first_start(view.champion), window.start - STRETCH * needed)
        if window.start - since < needed:
            return None
        self._evidence(Window(since, window.start))
        watch = self._watch(folder, version, view.served)
        reference = watch.reference(since, window.start, self._settings.window_seconds, settings)
        if reference is None:
            return None
        calibrate(reference, settings, version).save(self._calibration_place(version))
        return self._calibration(version)

    def _show(self, watched: Watched) -> None:
        """A page for people; that it cannot be kept is no reason to stop."""
        report = watched.decision.report
        calibration = self._calibration(report.policy_version)
        measured = any(result.statistic is not None for result in report.results)
        if not self._places.evidently or calibration is None or not measured:
            return
        from gream.monitoring.evidently_report import add_snapshot, evidently_report

        try:
            add_snapshot(self._places.evidently, evidently_report(calibration, watched.means, report))
        except OSError as error:  # Its HTTP client raises these too.
            _LOG.warning("Evidently's workspace took no page of a window (%s); the decision stands", error)

    def _tell(self, decision: Decision) -> None:
        """Let people know; that they cannot be reached is no reason to stop, and stands in the log."""
        if not self._places.alertmanager:
            return
        try:
            tell(self._places.alertmanager, decision, self._told_until(decision))
        except PagingError as error:
            _LOG.error("%s", error)

    def _tell_again(self, now: int) -> None:
        """The latest decisions once more: the round that made them may have been killed before it could tell, or nobody
        answered. To Alertmanager the same alert twice is one."""
        for entry in self._log.entries():
            if isinstance(entry, Decision) and now < self._told_until(entry):
                self._tell(entry)

    def _told_until(self, decision: Decision) -> int:
        """When the next window's judgement is due, by a schedule that comes round every hour."""
        return decision.at + self._settings.window_seconds + self._settings.grace_seconds + HOUR
