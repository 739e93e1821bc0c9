"""What the pipelines share: how a step gets its name, cache and pod, who trains, and how a run ends on a cluster."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kfp import dsl

from components import TRAIN_IMAGE
from components.sft.component import sft
from components.sft_job.component import sft_job
from components.srpo.component import srpo
from components.srpo_job.component import srpo_job
from components.tidy.component import tidy
from pipelines.cluster import Cluster
from pipelines.pods import equip, set_cache

FINISHED_DAYS: Final = 7
"""How long a finished run's pods stay for their logs; what KFP keeps of a run stays longer."""

Step = Callable[[dsl.PipelineTask, str], dsl.PipelineTask]


def step_maker(cluster: Cluster | None) -> Step:
    """What makes a task a step with a title: on a cluster it gets a pod, for KFP's local runner it does not."""

    def step(task: dsl.PipelineTask, title: str) -> dsl.PipelineTask:
        set_cache(task)
        if cluster is not None:
            equip(task, cluster)
        return task.set_display_name(title)

    return step


@contextmanager
def tidied(cluster: Cluster | None, workspace: str) -> Iterator[None]:
    """The steps of a run, and on a cluster the exit handler that tidies its workspace: a claim, a mirror, or both.

    KFP gives out nothing of what is made inside an exit handler: there, a pipeline has no outputs of its own.
    """
    if cluster is None:
        yield
        return
    last = step_maker(cluster)(tidy(workspace=workspace, keep_days=cluster.keep_days), "Tidy")
    with dsl.ExitHandler(last, name="run"):
        yield


def trainers(cluster: Cluster) -> tuple[Any, Any, dict[str, Any]]:
    """The components that train, in their own pod or on several nodes, and what tells them who trains together."""
    together: dict[str, Any] = {"processes": cluster.processes}
    if cluster.nodes == 1:
        return sft, srpo, together
    return sft_job, srpo_job, {**together, "nodes": cluster.nodes, "image": TRAIN_IMAGE, "queue": cluster.queue}


def pipeline_config(cluster: Cluster | None) -> Any:
    """How long KFP keeps the pods of a finished run; None for the local runner, which has none."""
    return dsl.PipelineConfig(ttl_seconds_after_finished=FINISHED_DAYS * 86_400) if cluster else None
