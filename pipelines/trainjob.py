"""A TrainJob of Kubeflow Trainer as a Kubernetes resource (`trainer.kubeflow.org/v1alpha1`).

Its pods run `torchrun` on so many nodes; Trainer tells each, in the environment (`PET_...`), how many there are, which
one it is and where to meet. What a pod is given (accelerators, pool, keys, volumes) is what KFP gave the step that
launches it, passed through as `dsl.TaskConfig`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipelines.cluster import QUEUE_LABEL

GROUP: Final = "trainer.kubeflow.org"
VERSION: Final = "v1alpha1"
PLURAL: Final = "trainjobs"
RUNTIME: Final = "torch-distributed"
"""The ClusterTrainingRuntime that sets up the meeting of the nodes; Trainer brings it."""
NODE: Final = "node"
"""What Trainer's runtimes for torch call their job and its container."""
MANAGER: Final = "gream.dev/pipelines"

Fragment = Mapping[str, Any]
"""A part of a pod's specification, in Kubernetes' own JSON."""


@dataclass(frozen=True)
class PodParts:
    """What every pod gets; the fields are those of `dsl.TaskConfig` that KFP can pass through.

    Attributes:
        resources: requests and limits of the container.
        env: variables of the container, keys by reference to their Secrets.
        node_selector: which pool.
        tolerations: of the pool's taints.
        volumes: of the pod, and
        volume_mounts: where the container finds them; the workspace must be among them.
    """

    resources: Fragment
    env: Sequence[Fragment] = ()
    node_selector: Mapping[str, str] | None = None
    tolerations: Sequence[Fragment] = ()
    volumes: Sequence[Fragment] = ()
    volume_mounts: Sequence[Fragment] = ()


@dataclass(frozen=True)
class TrainJob:
    """One TrainJob.

    Attributes:
        name: unique in the namespace.
        namespace: where it runs.
        image: holds `gream`.
        command: of every node; `torchrun` and what it starts.
        nodes: how many pods.
        processes: that each pod starts, one for each accelerator.
        parts: what every pod gets.
        labels: of the TrainJob; Kueue reads its queue there.
        owner: with whose removal the TrainJob goes too; empty for none.
    """

    name: str
    namespace: str
    image: str
    command: Sequence[str]
    nodes: int
    processes: int
    parts: PodParts
    labels: Mapping[str, str] | None = None
    owner: Fragment | None = None

    def manifest(self) -> dict[str, Any]:
        """The resource."""
        metadata: dict[str, Any] = {"name": self.name, "namespace": self.namespace, "labels": dict(self.labels or {})}
        if self.owner:
            metadata["ownerReferences"] = [dict(self.owner)]
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "TrainJob",
            "metadata": metadata,
            "spec": {
                "runtimeRef": {"apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": RUNTIME},
                "trainer": {
                    "image": self.image,
                    "command": list(self.command),
                    "numNodes": self.nodes,
                    "numProcPerNode": self.processes,
                    "resourcesPerNode": dict(self.parts.resources),
                    "env": [dict(variable) for variable in self.parts.env],
                },
                "runtimePatches": [
                    {
                        "manager": MANAGER,
                        "trainingRuntimeSpec": {
                            "template": {"spec": {"replicatedJobs": [{"name": NODE, "template": self._job_patch()}]}}
                        },
                    }
                ],
            },
        }

    def _job_patch(self) -> dict[str, Any]:
        container = {
            "name": NODE,
            "volumeMounts": [dict(mount) for mount in self.parts.volume_mounts],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        pod = {
            "nodeSelector": dict(self.parts.node_selector or {}),
            "tolerations": [dict(toleration) for toleration in self.parts.tolerations],
            "volumes": [dict(volume) for volume in self.parts.volumes],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        return {"spec": {"template": {"spec": pod}}}


def of_step(pod: Any, image: str, nodes: int, processes: int, queue: str) -> TrainJob:
    """What a step of KFP launches, but for the name, the namespace and the command.

    Args:
        pod: `dsl.TaskConfig` of the step.
        image: holds `gream`.
        nodes: how many pods.
        processes: of each pod.
        queue: Kueue's local queue; may be empty.
    """
    parts = PodParts(
        resources=pod.resources or {},
        env=pod.env or (),
        node_selector=pod.node_selector,
        tolerations=pod.tolerations or (),
        volumes=pod.volumes or (),
        volume_mounts=pod.volume_mounts or (),
    )
    labels = {QUEUE_LABEL: queue} if queue else {}
    return TrainJob("", "", image, (), nodes, processes, parts, labels)
