"""KFP component `champion`: the policy that a retraining goes out from."""

from kfp.dsl import Model, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def champion(
    policy: Output[Model],
    place: str,
    action: str,
    decision: str,
    decisions: str,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Bring the champion's bundle: the one that the decision is about, or the present one.

    Args:
        policy: the champion's bundle.
        place: where the champion stands: a folder, or s3://BUCKET/PREFIX.
        action: what the run is for: retrain or index_new_items.
        decision: id of the decision that ordered the run; empty where a person did.
        decisions: the record of decisions: a file, or s3://BUCKET/KEY; empty where there is no decision.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    from gream.stages import champion as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(place, action, decision, decisions, open_run(profile, overrides, seed, workspace))
    policy.metadata.update(deliver(made, policy.path))
