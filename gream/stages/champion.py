"""The first stage of a retraining: the champion that it goes out from, and is compared with at its end.

A run that was decided goes out from the champion that the decision is about, also where the pointer has moved since: a
run that promoted its challenger and was killed before it could say so finds what it has done.
"""

import shutil
from pathlib import Path
from typing import Any, Final

from gream.artifacts import link_or_copy
from gream.errors import ConfigError
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import RUNS, Decision
from gream.policy.bundle import KIND
from gream.promotion.champion import Champion, open_champion
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = ("promotion/champion.py",)


def run(place: str, action: str, decision: str, decisions: str, context: RunContext) -> Path:
    """The folder of the champion's bundle.

    Args:
        place: see `gream.promotion.champion`.
        action: of the run, one of `gream.monitoring.entries.RUNS`.
        decision: id of the decision that ordered the run; empty where a person did, for the present champion.
        decisions: the record of decisions; empty where there is no decision.
        context: the run.

    Raises:
        ConfigError: the action is no run, there is no champion, or the record has no such decision.
        StoreError: the place or the record does not answer.
        ArtifactError: the record or the bundle is damaged.
    """
    if action not in RUNS:
        raise ConfigError(f"action = {action!r} is not allowed; allowed are {', '.join(RUNS)}.")
    digest = _champion(place, decision, decisions).digest
    recipe = Recipe(stage="champion", kind=KIND, settings={"digest": digest}, seed=0, inputs={}, code=CODE)

    def make(target: Path, work: Path) -> dict[str, Any]:
        bundle = open_champion(place).fetch(digest, work / "fetched")
        shutil.copytree(bundle, target, copy_function=link_or_copy)
        return {}

    return produce(recipe, make, context.workspace)


def _champion(place: str, decision: str, decisions: str) -> Champion:
    if bool(decision) != bool(decisions):
        raise ConfigError("decision and decisions belong together: give the id and the record that has it, or neither.")
    champion = open_champion(place)
    if not decision:
        now = champion.read()
        if now is None:
            raise ConfigError(f"there is no champion at {place}: promote one first (`gream champion promote`).")
        return now
    entries = DecisionLog(decisions).entries()
    found = [entry for entry in entries if isinstance(entry, Decision) and entry.id == decision]
    if not found:
        raise ConfigError(f"{decisions} has no decision {decision!r}.")
    version = found[0].report.policy_version
    for state in champion.history():
        if state.version == version:
            return state
    raise ConfigError(f"{version}, which decision {decision!r} is about, was never the champion of {place}.")
