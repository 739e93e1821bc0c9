"""KFP component `gate`: may this challenger replace this champion?"""

from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def gate(
    catalog: Input[Dataset],
    hold_out: Input[Dataset],
    champion: Input[Model],
    challenger: Input[Model],
    verdict: Output[Artifact],
    page: Output[HTML],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
) -> None:
    """Measure champion and challenger on the same fresh hold-out, and judge.

    Args:
        catalog: from `refresh`: what the challenger was trained on, and the protocol.
        hold_out: from `refresh`.
        champion: from `champion`.
        challenger: from `srpo` or `extend`.
        verdict: verdict.json and its page.
        page: the verdict for people.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
    """
    import shutil
    from pathlib import Path

    from gream.stages import gate as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(hold_out.path),
        Path(champion.path),
        Path(challenger.path),
        open_run(profile, overrides, seed, workspace),
    )
    verdict.metadata.update(deliver(made, verdict.path))
    shutil.copyfile(made / stage.PAGE, page.path)
