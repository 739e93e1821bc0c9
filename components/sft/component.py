"""KFP component `sft`: the curriculum makes a language model a policy."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def sft(
    catalog: Input[Dataset],
    semantic_index: Input[Artifact],
    corpus: Input[Dataset],
    policy: Output[Model],
    processes: int,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
    champion: Input[Model] | None = None,
) -> None:
    """Fine-tune the backbone on alignment and reasoning examples in curriculum order.

    Args:
        catalog: from `ingest`.
        semantic_index: from `index`.
        corpus: from `corpora`.
        policy: a self-contained policy bundle.
        processes: that train together, one for each accelerator of the pod.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
        champion: of a retraining, from `champion`; its weights are gone on from where the index still fits them.
    """
    from pathlib import Path

    from gream.stages import sft as stage
    from gream.stages.launch import on_this_machine
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(semantic_index.path),
        Path(corpus.path),
        open_run(profile, overrides, seed, workspace),
        on_this_machine(processes),
        Path(champion.path) if champion else None,
    )
    policy.metadata.update(deliver(made, policy.path))
