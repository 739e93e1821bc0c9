"""What a compiled pipeline expects of the cluster that it will run on.

All of this is decided when a pipeline is compiled, and none of it in the form of a run. KFP 2.17 takes the number of
accelerators, a node selector or a toleration from a parameter, but not whether there are any, nor shared memory, a
time-out, or the volumes of a pod; and four fields that only work together are four ways to start a run that never
schedules.
"""

from dataclasses import dataclass
from typing import Final

from gream.errors import ConfigError
from gream.objectstore.uri import ArtifactUri

WORKSPACE: Final = "/workspace"
"""Where a step's pod finds its workspace."""
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"


@dataclass(frozen=True)
class Cluster:
    """One cluster, as far as steps notice.

    Attributes:
        gpus: accelerators of a node that trains; with 0 all steps stay on the CPU pool.
        nodes: nodes that train together. More than one train as a TrainJob of Kubeflow Trainer.
        memory_gib: host memory for each accelerator of a node that trains: every process reads the whole model,
            and then keeps its piece of it.
        accelerator: what Kubernetes calls an accelerator.
        claim: PersistentVolumeClaim of the workspace, ReadWriteMany where steps run on several nodes. Empty gives each
            pod a scratch folder on its node, which `remote` must then make up for.
        remote: `s3://bucket/prefix` of the workspace's mirror (`gream.stages.mirror`); may be empty beside a claim.
        s3_endpoint: URL of the S3 server.
        s3_secret: Secret with `accesskey` and `secretkey` for it; KFP's own is the default.
        queue: Kueue's local queue that pods wait in; empty where there is no Kueue.
        keep_days: after which a run's end deletes from claim and mirror what no run has used meanwhile.
        at_once: branches of an experiment, a variant under a seed each, that run at a time.
    """

    gpus: int = 0
    nodes: int = 1
    memory_gib: int = 96
    accelerator: str = "nvidia.com/gpu"
    claim: str = "gream-workspace"
    remote: str = ""
    s3_endpoint: str = "http://seaweedfs.kubeflow:9000"
    s3_secret: str = "mlpipeline-minio-artifact"
    queue: str = ""
    keep_days: int = 30
    at_once: int = 1

    def __post_init__(self) -> None:
        """Raise a `ConfigError` where the choices do not fit together."""
        if self.gpus < 0 or self.nodes < 1:
            raise ConfigError(f"gpus = {self.gpus} and nodes = {self.nodes}: at least 0 and 1 are needed.")
        if self.keep_days < 1:
            raise ConfigError(f"keep_days = {self.keep_days}: at least 1 is needed, or a run loses its own outputs.")
        if self.at_once < 1:
            raise ConfigError(f"at_once = {self.at_once}: at least 1 is needed.")
        if self.nodes > 1 and not (self.gpus and self.claim):
            raise ConfigError(
                f"nodes = {self.nodes} needs gpus, and a ReadWriteMany claim that all of these nodes write to."
            )
        if not self.claim and not self.remote:
            raise ConfigError("a workspace needs a claim or a remote: pods would lose what they made with their disks.")
        if self.remote:
            ArtifactUri.parse_unpinned(self.remote)

    @property
    def processes(self) -> int:
        """Of a node that trains, one for each accelerator."""
        return max(self.gpus, 1)
