"""KFP component `srpo`: reinforcement learning on the policy's own rollouts."""

from kfp.dsl import Dataset, Input, Model, Output, component

from components import TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def srpo(
    corpus: Input[Dataset],
    sft_policy: Input[Model],
    policy: Output[Model],
    processes: int,
    profile: str,
    overrides: list[str],
    seed: int,
    workspace: str,
    champion: Input[Model] | None = None,
) -> None:
    """Improve the SFT policy with sparse-regularised group policy optimisation.

    Args:
        corpus: from `corpora`; its RL prompts are used.
        sft_policy: from `sft`; the start, and the reference of the KL term.
        policy: a self-contained policy bundle.
        processes: that train together, one for each accelerator of the pod.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
        champion: of a retraining, from `champion`; its weights are gone on from where the index still fits them.
    """
    from pathlib import Path

    from gream.stages import srpo as stage
    from gream.stages.launch import on_this_machine
    from gream.stages.store import deliver, open_run

    made = stage.run(
        Path(corpus.path),
        Path(sft_policy.path),
        open_run(profile, overrides, seed, workspace),
        on_this_machine(processes),
        Path(champion.path) if champion else None,
    )
    policy.metadata.update(deliver(made, policy.path))
