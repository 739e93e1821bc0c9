"""What each step's pod asks for, and the one place that gives it to the step.

Pools are node labels `gream.dev/pool`:

    cpu         no accelerator; reading, asking a language model, clustering, drawing
    gpu-small   one accelerator, 24 GB; the text encoder
    gpu-large   accelerators of 80 GB; training, and evaluation and gate, which hold policies and the caches of beams

A pod with an accelerator must carry its limit, its node selector, its toleration and shared memory together: without
one of them it waits for ever, or dies when processes exchange tensors. So `equip` sets them all or none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from kfp import dsl, kubernetes

from gream.enrichment.endpoint import KEY_VARIABLE, URL_VARIABLE
from gream.monitoring.evidence import KEY_VARIABLE as KEY_OF_EVIDENCE
from gream.objectstore.settings import ACCESS_KEY, ENDPOINT, RETRIES, SECRET_KEY
from gream.stages.mirror import REMOTE
from pipelines.cluster import QUEUE_LABEL, WORKSPACE, Cluster

Pool = Literal["cpu", "gpu-small", "gpu-large"]

POOL_LABEL: Final = "gream.dev/pool"
LLM_SECRET: Final = "gream-llm"
"""Optional Secret with `base-url` and `api-key` of a language model's endpoint."""
EVIDENCE_SECRET: Final = "gream-evidence"
"""Secret with `key`, the key of the hashes that stand for users in the evidence; the same that serving has."""
REPORTS_SECRET: Final = "gream-evidently"
"""Optional Secret with `secret`, which Evidently's UI asks of who writes reports."""
SCRATCH_GIB: Final = 200
"""Of its node's disk, which a pod without a claim may fill before it is evicted."""
CACHES: Final = {"HF_HOME": "huggingface", "VLLM_CACHE_ROOT": "vllm", "TRITON_CACHE_DIR": "triton"}
"""Variables that name folders of what can be had again, but slowly; where in the workspace they are."""
TRIES: Final = 5
"""Attempts of a step, the first one included."""
QUEUE_HOURS: Final = 48
"""What each attempt may wait for its node, or in its queue."""
USER: Final = 10001
"""Numeric user of the images."""


@dataclass(frozen=True)
class Pod:
    """What a step asks for.

    Attributes:
        pool: see the module.
        cpu: cores that it asks for; it may use twice as many.
        memory_gib: limit, asked for in full. Shared memory counts against it.
        hours: after which one attempt is stopped.
        gpus: accelerators.
        llm: whether it may ask a language model.
        evidence: whether it reads requests and reports on them, and so needs the key of their users' hashes, and what
            Evidently asks for.
    """

    pool: Pool
    cpu: int
    memory_gib: int
    hours: int
    gpus: int = 0
    llm: bool = False
    evidence: bool = False

    def times(self, gpus: int, memory_gib: int) -> "Pod":
        """The same for each of several accelerators, with so much memory for each."""
        return replace(self, cpu=self.cpu * gpus, memory_gib=memory_gib * gpus, gpus=gpus)

    def small(self) -> "Pod":
        """The same for a run of the size of a laptop, without accelerators."""
        return replace(self, pool="cpu", cpu=1, memory_gib=min(self.memory_gib, 8), gpus=0)


TRAINING_POD: Final = Pod("gpu-large", cpu=8, memory_gib=96, hours=72, gpus=1)
"""Of each accelerator; a step that trains takes all of a node. `sft-job` and `srpo-job` pass theirs on to several."""

PODS: Final[Mapping[str, Pod]] = {
    "shares": Pod("cpu", cpu=1, memory_gib=1, hours=1),
    "ingest": Pod("cpu", cpu=2, memory_gib=8, hours=4),
    "enrich-share": Pod("cpu", cpu=1, memory_gib=4, hours=24, llm=True),
    "enrich": Pod("cpu", cpu=1, memory_gib=4, hours=2),
    "encode-share": Pod("gpu-small", cpu=4, memory_gib=32, hours=12, gpus=1),
    "index": Pod("cpu", cpu=4, memory_gib=16, hours=12),
    "corpora": Pod("cpu", cpu=2, memory_gib=16, hours=24, llm=True),
    "sft": TRAINING_POD,
    "sft-job": TRAINING_POD,
    "srpo": TRAINING_POD,
    "srpo-job": TRAINING_POD,
    "evaluate": Pod("gpu-large", cpu=4, memory_gib=48, hours=24, gpus=1),
    "report": Pod("cpu", cpu=1, memory_gib=4, hours=1),
    "champion": Pod("cpu", cpu=1, memory_gib=4, hours=2),
    "refresh": Pod("cpu", cpu=2, memory_gib=16, hours=4),
    "update-index": Pod("gpu-small", cpu=4, memory_gib=32, hours=12, gpus=1),
    "extend": Pod("gpu-small", cpu=4, memory_gib=32, hours=4, gpus=1),
    "gate": Pod("gpu-large", cpu=4, memory_gib=48, hours=12, gpus=1),
    "promote": Pod("cpu", cpu=1, memory_gib=4, hours=2),
    "monitor": Pod("cpu", cpu=1, memory_gib=4, hours=1, evidence=True),
    "index-whole": Pod("gpu-small", cpu=4, memory_gib=32, hours=24, gpus=1),
    "variants": Pod("cpu", cpu=1, memory_gib=1, hours=1),
    "variant": Pod("cpu", cpu=1, memory_gib=1, hours=1),
    "trial": Pod("cpu", cpu=1, memory_gib=4, hours=1),
    "compare": Pod("cpu", cpu=1, memory_gib=4, hours=1),
    "tidy": Pod("cpu", cpu=1, memory_gib=1, hours=1),
}
"""By component name."""

CACHED: Final = frozenset({"shares", "variants", "variant"})
"""Steps that KFP may answer from its cache: pure functions of their parameters. For all others that cache looks at
parameters, not at the content of a folder or the code in an image, and it may point to artifacts that are gone. The
store of `gream.stages` looks at all three, and a step that has nothing to do ends in seconds. Never: training and
promotion."""


def pod_for(step: str, cluster: Cluster) -> Pod:
    """What a step asks for on this cluster.

    Args:
        step: a key of `PODS`.
        cluster: with its number of accelerators.
    """
    pod = PODS[step]
    if not cluster.gpus:
        return pod.small()
    return pod.times(cluster.gpus, cluster.memory_gib) if pod is TRAINING_POD else pod


def pods_of(cluster: Cluster) -> list[Pod]:
    """What all steps ask for on this cluster."""
    return [pod_for(step, cluster) for step in PODS]


def set_cache(task: dsl.PipelineTask) -> None:
    """Say whether KFP's cache may answer in a step's place."""
    task.set_caching_options(enable_caching=task.component_spec.name in CACHED)


def equip(task: dsl.PipelineTask, cluster: Cluster) -> None:
    """Give a step its pod: resources, pool, time-out, retries, keys and workspace.

    Args:
        task: of a component that `PODS` names.
        cluster: where it will run.
    """
    pod = pod_for(task.component_spec.name, cluster)
    _ask_for(task, pod, cluster)
    # Preemption and eviction fail a pod, and its next attempt goes on from the workspace. Waits of 1, 2, 4, 8 minutes.
    # The last is no cap on a wait: Argo counts it from the start of the first attempt, queueing included, and after it
    # tries nothing again and stops what is running.
    all_attempts = f"{TRIES * (pod.hours + QUEUE_HOURS) * 3600}s"
    task.set_retry(TRIES - 1, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration=all_attempts)
    kubernetes.set_timeout(task, pod.hours * 3600)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    if cluster.queue:
        kubernetes.add_pod_label(task, QUEUE_LABEL, cluster.queue)
    _give_keys(task, pod, cluster)
    _give_workspace(task, cluster)


def _ask_for(task: dsl.PipelineTask, pod: Pod, cluster: Cluster) -> None:
    memory = f"{pod.memory_gib}Gi"
    task.set_cpu_request(str(pod.cpu)).set_cpu_limit(str(2 * pod.cpu))
    task.set_memory_request(memory).set_memory_limit(memory)
    kubernetes.add_node_selector(task, POOL_LABEL, pod.pool)
    if pod.gpus:
        task.set_accelerator_type(cluster.accelerator).set_accelerator_limit(pod.gpus)
        kubernetes.add_toleration(task, key=cluster.accelerator, operator="Exists", effect="NoSchedule")
        shared = f"{min(16 * pod.gpus, pod.memory_gib // 2)}Gi"
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory", size_limit=shared)


def _give_keys(task: dsl.PipelineTask, pod: Pod, cluster: Cluster) -> None:
    task.set_env_variable(ENDPOINT, cluster.s3_endpoint).set_env_variable(RETRIES, "8")
    kubernetes.use_secret_as_env(task, cluster.s3_secret, {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY})
    if pod.llm:
        keys = {"base-url": URL_VARIABLE, "api-key": KEY_VARIABLE}
        kubernetes.use_secret_as_env(task, LLM_SECRET, keys, optional=True)
    if pod.evidence:
        kubernetes.use_secret_as_env(task, EVIDENCE_SECRET, {"key": KEY_OF_EVIDENCE})
        # `gream.monitoring.evidently_report` reads it; to import its name from there takes Evidently along.
        kubernetes.use_secret_as_env(task, REPORTS_SECRET, {"secret": "EVIDENTLY_SECRET"}, optional=True)


def _give_workspace(task: dsl.PipelineTask, cluster: Cluster) -> None:
    """Mount the workspace where a step works in it; with a claim also where the champion may be a folder on it."""
    task.set_env_variable("TQDM_MININTERVAL", "30")  # A log is no terminal: a bar every half minute will do.
    inputs = task.component_spec.inputs or {}
    if cluster.claim and {"workspace", "place"} & set(inputs):
        kubernetes.mount_pvc(task, cluster.claim, WORKSPACE)
    elif "workspace" in inputs:
        # Not a fresh volume: the root of one belongs to root, and KFP has no field that would hand it to another user.
        kubernetes.empty_dir_mount(task, "workspace", WORKSPACE, size_limit=f"{SCRATCH_GIB}Gi")
    if "workspace" in inputs:
        if cluster.remote:
            task.set_env_variable(REMOTE, cluster.remote)
        # With a claim, weights that a step downloads and kernels that vLLM compiles stay for the next attempt and run:
        # it compiles for minutes before its first token.
        for variable, folder in CACHES.items():
            task.set_env_variable(variable, f"{WORKSPACE}/{folder}")
