"""Compiled pipelines, read back."""

import functools
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import kfp.dsl.pipeline_task
import pytest
import yaml

from pipelines.cluster import Cluster
from pipelines.compile import compile_pipeline

GROUPS = ("for-loop", "exit-handler", "condition")


@dataclass(frozen=True)
class Compiled:
    """The two documents of a compiled pipeline: what runs, and in what pods."""

    spec: dict[str, Any]
    platform: dict[str, Any]

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        """All tasks that run in a pod, by name, in whatever group they are."""
        dags = [self.spec["root"]["dag"], *(c["dag"] for c in self.spec["components"].values() if "dag" in c)]
        tasks = {name: task for dag in dags for name, task in dag["tasks"].items()}
        return {name: task for name, task in tasks.items() if not name.startswith(GROUPS)}

    def container(self, step: str) -> dict[str, Any]:
        return self.spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]

    def parameters(self, step: str) -> set[str]:
        return set(self.spec["components"][f"comp-{step}"].get("inputDefinitions", {}).get("parameters", {}))

    def pod(self, step: str) -> dict[str, Any]:
        return self.platform["deploymentSpec"]["executors"][f"exec-{step}"]


@pytest.fixture(scope="session", autouse=True)
def quick_kfp():
    """KFP reads the source of every frame of the stack, each time a task gets a resource, only to name its caller.

    With all that a test session has imported that takes a second each time; the name alone, nothing.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kfp.dsl.pipeline_task, "inspect", SimpleNamespace(stack=two_frames))
        yield


def two_frames() -> tuple[tuple[None, None, None, str], ...]:
    """The head of `inspect.stack()` as its caller sees it, with nothing in a frame but the function's name (item 3)."""
    here = sys._getframe(1)
    assert here.f_back is not None
    return (None, None, None, here.f_code.co_name), (None, None, None, here.f_back.f_code.co_name)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Compile a pipeline for a cluster, once for each."""

    @functools.cache
    def compile_for(cluster: Cluster, pipeline: str = "training") -> Compiled:
        path = tmp_path_factory.mktemp("compiled") / f"{pipeline}.yaml"
        compile_pipeline(pipeline, cluster, path)
        spec, platform = yaml.safe_load_all(path.read_text())
        return Compiled(spec, platform["platforms"]["kubernetes"])

    return compile_for
