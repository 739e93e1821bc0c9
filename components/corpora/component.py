"""KFP component `corpora`: what the policy is trained on."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def corpora(
    catalog: Input[Dataset],
    item_profiles: Input[Dataset],
    semantic_index: Input[Artifact],
    corpus: Output[Dataset],
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
    champion: Input[Model] | None = None,
) -> None:
    """Write the six alignment tasks, the checked reasoning chains, and the RL prompts.

    Args:
        catalog: from `ingest`.
        item_profiles: from `enrich`.
        semantic_index: from `index`.
        corpus: alignment, reasoning and RL examples.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
        champion: of a retraining, from `champion`; its weights are gone on from where the index still fits them.
    """
    from pathlib import Path

    from gream.stages import corpora as stage
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(catalog.path),
        Path(item_profiles.path),
        Path(semantic_index.path),
        open_run(profile, overrides, seed, workspace),
        Path(champion.path) if champion else None,
    )
    corpus.metadata.update(deliver(made, corpus.path))
