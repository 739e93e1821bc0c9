"""KFP component `promote`: an accepted challenger becomes the champion, and the record says how the run ended."""

from typing import NamedTuple

from kfp.dsl import Artifact, Input, Model, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def promote(
    challenger: Input[Model],
    verdict: Input[Artifact],
    place: str,
    action: str,
    decision: str,
    decisions: str,
    canary: str,
) -> NamedTuple("Ending", [("result", str), ("text", str), ("gate", str)]):  # type: ignore[valid-type]
    """Promote the challenger if the gate accepted it and append the decision's outcome, once; or put it on trial.

    Args:
        challenger: from `srpo` or `extend`.
        verdict: from `gate`.
        place: where the champion stands: a folder, or s3://BUCKET/PREFIX.
        action: what the run is for: retrain or index_new_items.
        decision: id of the decision that ordered the run; empty where a person did.
        decisions: the record of decisions: a file, or s3://BUCKET/KEY; empty where there is no decision.
        canary: where the canary stands, as `place`; empty where there is none, and an accepted challenger is promoted.

    Returns:
        The result (promoted, indexed, refused, failed, or "on trial"), a sentence, and the fingerprint of the gate's
        output in the workspace.
    """
    from pathlib import Path

    from gream.promotion.champion import open_champion
    from gream.promotion.closing import Order, close_run
    from gream.promotion.verdict import Verdict
    from gream.stages.gate import VERDICT
    from gream.stages.store import stage_facts

    judged = Path(verdict.path)
    ending = close_run(
        open_champion(place),
        Path(challenger.path),
        Verdict.load(judged / VERDICT),
        Order(action, decision, decisions, canary),
    )
    print(f"{ending.result}: {ending.text}")
    return (ending.result, ending.text, stage_facts(judged)["fingerprint"])
