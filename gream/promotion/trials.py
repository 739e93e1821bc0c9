"""Trials: the monitor's part of a canary, from the first look to the run's outcome.

Everything here may be done again after a kill. What the canary names follows from the record: the challenger while it
is on trial, otherwise the champion. A trial ends by the record's outcome, once: the monitor's, or a person's
(`gream decisions outcome`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gream.artifacts import VERSION_DIGITS
from gream.errors import StoreError
from gream.monitoring.canary import Arm, Look, look_at
from gream.monitoring.decision import freeze, on_trial
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Trial
from gream.monitoring.evidence import Evidence, Window
from gream.monitoring.settings import MonitoringSettings
from gream.promotion.canary import follow_champion, name_canary
from gream.promotion.champion import Champion, ChampionPlace, promote_kept
from gream.promotion.closing import Ending, record_ending, settle
from gream.promotion.verdict import Verdict

_LOG = logging.getLogger("gream.monitor")


@dataclass(frozen=True)
class Trials:
    """The trials at a canary.

    Attributes:
        champion: where the champion stands.
        canary: where the canary stands.
        log: the record of decisions.
        settings: of monitoring.
        read: what is known of a stretch of time, all policies together.
        cache: folder for what comes from a store.
    """

    champion: ChampionPlace
    canary: ChampionPlace
    log: DecisionLog
    settings: MonitoringSettings
    read: Callable[[Window], Evidence]
    cache: Path

    def see_to(self, now: int) -> None:
        """Look at the challenger that is on trial, end its trial where it is time, and set the canary right.

        Args:
            now: seconds since 1970 (UTC).

        Raises:
            StoreError: a store does not answer; call again.
            ArtifactError: the record or a bundle is damaged.
            PromotionError: somebody else moved the canary meanwhile; call again.
        """
        trial = on_trial(self.log.entries())
        if trial is not None:
            name_canary(self.canary, trial.verdict.challenger)
            ending = self._ending(trial, now)
            if ending is None:
                return
            recorded = record_ending(self.log, trial.decision, ending)
            _LOG.info("the run of decision %s ended, %s: %s", trial.decision, recorded.result, recorded.text)
        follow_champion(self.canary, self.champion, self.cache)

    def _ending(self, trial: Trial, now: int) -> Ending | None:
        """How the trial ends; None while it goes on."""
        champion = self.champion.read()
        if champion is None or champion.digest != trial.verdict.champion:
            # Nothing is left to look at: this trial has moved the pointer before it could say so, or somebody else has.
            return self._settle(trial)
        look = self._look(trial, now)
        match look.finding:
            case "wait":
                _LOG.info("the trial of decision %s goes on. %s", trial.decision, look.text)
                return None
            case "withdraw":
                return Ending("withdrawn", look.text)
            case "promote":
                return self._win(trial, look, now)

    def _win(self, trial: Trial, look: Look, now: int) -> Ending | None:
        """Make the winner the champion, unless somebody has ended the trial meanwhile, or all runs are frozen."""
        history = self.log.entries()
        if on_trial(history) != trial:
            return None
        if freeze(history, now) is not None:
            _LOG.info("the trial of decision %s is won, and waits for the end of the freeze", trial.decision)
            return None
        ending = self._settle(trial)
        return Ending(ending.result, f"{ending.text} {look.text}")

    def _settle(self, trial: Trial) -> Ending:
        return settle(self.champion, trial.verdict, lambda: self._promote(trial.verdict))

    def _promote(self, verdict: Verdict) -> Champion:
        try:
            return promote_kept(self.champion, verdict)
        except StoreError:  # It was pruned there meanwhile, or the store is away: then the next line says so.
            self.champion.keep(self.canary.fetch(verdict.challenger, self.cache))
        return promote_kept(self.champion, verdict)

    def _look(self, trial: Trial, now: int) -> Look:
        length = self.settings.window_seconds
        windows = (now - self.settings.grace_seconds - trial.at) // length
        if windows < 1:
            return Look("wait", "Its first window is not over.")
        evidence = self.read(Window(trial.at, trial.at + windows * length)).begun_at(trial.at)
        pair = [digest[:VERSION_DIGITS] for digest in (trial.verdict.challenger, trial.verdict.champion)]
        canary, champion = Arm.each(evidence, pair, self.settings.canary.metric)
        return look_at(canary, champion, windows, self.settings.canary)
