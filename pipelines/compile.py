"""Compile pipelines for a cluster: YAML that the KFP UI takes, and the same as Kubernetes resources.

The resources are for installations that keep pipelines in Kubernetes (`kubectl apply`, or GitOps): a Pipeline, and a
PipelineVersion, which is named by its content, since Kubernetes does not let it change.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from gream.artifacts import write_text_atomic
from gream.errors import ConfigError
from pipelines.cluster import Cluster
from pipelines.experiment import define_experiment
from pipelines.monitoring import define_monitoring
from pipelines.retraining import define_retraining
from pipelines.training import define_training

PIPELINES: Final[Mapping[str, Callable[[Cluster], Any]]] = {
    "training": define_training,
    "retraining": define_retraining,
    "monitoring": define_monitoring,
    "experiment": define_experiment,
}
"""What defines each pipeline for a cluster, by the name that commands use."""


def pipeline_name(name: str) -> str:
    """What KFP calls one of `PIPELINES`.

    Raises:
        ConfigError: there is no such pipeline.
    """
    if name not in PIPELINES:
        raise ConfigError(f"there is no pipeline {name!r}; there are {', '.join(PIPELINES)}.")
    return f"gream-{name}"


def compile_pipeline(name: str, cluster: Cluster, target: Path) -> None:
    """Write the YAML of one of `PIPELINES` to `target`."""
    write_text_atomic(target, _compiled(PIPELINES[name](cluster), target))


def compile_resources(name: str, cluster: Cluster, target: Path) -> None:
    """Write one of `PIPELINES` to `target` as a Pipeline and a PipelineVersion."""
    pipeline = PIPELINES[name](cluster)
    options = KubernetesManifestOptions(
        pipeline_display_name=pipeline.pipeline_spec.pipeline_info.display_name,
        pipeline_version_name=version_name(pipeline_name(name), _compiled(pipeline, target)),
        include_pipeline_manifest=True,
    )
    text = _compiled(pipeline, target, kubernetes_manifest_options=options, kubernetes_manifest_format=True)
    write_text_atomic(target, text)


def version_name(pipeline: str, compiled: str) -> str:
    """The name of a version of a pipeline: the same for the same YAML, and for no other.

    >>> version_name("gream-training", "")
    'gream-training-e3b0c44298fc'
    """
    return f"{pipeline}-{hashlib.sha256(compiled.encode()).hexdigest()[:12]}"


def _compiled(pipeline: Any, target: Path, **options: Any) -> str:
    """KFP's compiler knows files only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.stem}.draft.yaml")
    compiler.Compiler().compile(pipeline, str(draft), **options)
    text = draft.read_text(encoding="utf-8")
    draft.unlink()
    return text
