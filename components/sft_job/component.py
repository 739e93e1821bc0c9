"""KFP component `sft_job`: the curriculum makes a language model a policy, on several nodes."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output, TaskConfig, component

from components import PASSED_TO_NODES, TRAIN_IMAGE


@component(base_image=TRAIN_IMAGE, install_kfp_package=False, task_config_passthroughs=PASSED_TO_NODES)
def sft_job(
    catalog: Input[Dataset],
    semantic_index: Input[Artifact],
    corpus: Input[Dataset],
    policy: Output[Model],
    pod: TaskConfig,
    image: str,
    nodes: int,
    processes: int,
    queue: str,
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
        pod: what each node's pod gets, from KFP: this step's own resources, pool, keys and volumes.
        image: of the nodes' pods.
        nodes: that train together, in a TrainJob of Kubeflow Trainer.
        processes: of each node, one for each accelerator.
        queue: Kueue's local queue; empty where there is no Kueue.
        profile: name of a profile, or the path of a TOML file.
        overrides: single settings, each `section.key=value`.
        seed: of every random choice.
        workspace: folder where stages keep their outputs and checkpoints between runs.
        champion: of a retraining, from `champion`; its weights are gone on from where the index still fits them.
    """
    from pathlib import Path

    from gream.stages import sft as stage
    from gream.stages.store import deliver, open_run
    from pipelines.trainjob import of_step
    from pipelines.trainjob_launcher import TrainJobLauncher

    template = of_step(pod, image, nodes, processes, queue)
    made = stage.run(
        Path(catalog.path),
        Path(semantic_index.path),
        Path(corpus.path),
        open_run(profile, overrides, seed, workspace),
        TrainJobLauncher.in_cluster(template),
        Path(champion.path) if champion else None,
    )
    policy.metadata.update(deliver(made, policy.path))
