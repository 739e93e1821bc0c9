"""The whole of monitoring for one window: read, judge, decide, record. What a schedule calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gream.monitoring.calibration import Calibration, CalibrationSettings
from gream.monitoring.catalogue import CountResult
from gream.monitoring.decision import DecisionSettings
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Decision
from gream.monitoring.evidence import USER_HASH, Evidence, Window
from gream.monitoring.evidence_reader import read_evidence
from gream.monitoring.judgement import UNREADABLE_LIMIT, judge
from gream.monitoring.served_items import ServedItems
from gream.monitoring.skew import TrainedTaste
from gream.monitoring.user_means import UserMeans, user_means


@dataclass(frozen=True)
class Watched:
    """A window, from its users' means to what was decided on it; `decision.report` is the judgement."""

    means: UserMeans
    decision: Decision


@dataclass(frozen=True)
class Watch:
    """One champion under watch.

    Attributes:
        evidence: the folder of the evidence (from a store: `pull_evidence` first).
        key: of the user hashes.
        match_seconds: how long after a request its feedback counts.
        version: of the champion.
        served: its items.
    """

    evidence: Path
    key: str
    match_seconds: int
    version: str
    served: ServedItems

    def read(self, window: Window) -> Evidence:
        """What is known of the champion in a window."""
        return read_evidence(self.evidence, window, self.match_seconds, self.key).of_policy(self.version)

    def reference(
        self, since: int, until: int, window_seconds: int, settings: CalibrationSettings
    ) -> list[UserMeans] | None:
        """The champion's first healthy windows: what `calibrate` makes thresholds of.

        Args:
            since: from when on the champion serves, in seconds since 1970 (UTC).
            until: windows that end later are not looked at.
            window_seconds: length of a window.
            settings: a window is healthy with `min_users` users and readable files; `min_windows` are needed.

        Returns:
            The first `min_windows` healthy ones, oldest first; None while there are fewer.
        """
        found = []
        for start in range(since, until - window_seconds + 1, window_seconds):
            evidence = self.read(Window(start, start + window_seconds))
            users = evidence.requests[USER_HASH].n_unique()
            if users >= settings.min_users and evidence.unreadable_share <= UNREADABLE_LIMIT:
                found.append(user_means(evidence, self.served))
            if len(found) == settings.min_windows:
                return found
        return None

    def look(
        self,
        window: Window,
        reference: Calibration | TrainedTaste,
        counts: Sequence[CountResult],
        log: DecisionLog,
        now: int,
        settings: DecisionSettings,
    ) -> Watched:
        """Judge a window, decide on it, and record the decision.

        Args:
            window: which; it is over.
            reference: see `judge`.
            counts: of the catalogue, see `count_catalogue`.
            log: the record, where the windows before are found too.
            now: seconds since 1970 (UTC).
            settings: of the decision.

        Returns:
            The same decision again for a window that was decided before; its run is named by `decision.id`.

        Raises:
            ConfigError: the calibration is another policy's, or of other items.
            ArtifactError: the record is damaged; nothing was decided.
            StoreError: the record cannot be reached; nothing was decided.
        """
        evidence = self.read(window)
        means = user_means(evidence, self.served)
        previous = [entry.report for entry in log.entries() if isinstance(entry, Decision)]
        report = judge(reference, evidence, means, self.version, previous, counts)
        return Watched(means, log.decide(report, now, settings))
