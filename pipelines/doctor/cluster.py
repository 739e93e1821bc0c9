"""The cluster: node pools, definitions of custom resources, and what the pods of a run refer to."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from pipelines.cluster import Cluster
from pipelines.doctor.examination import Check, NotAskedError, SickError
from pipelines.pods import LLM_SECRET, POOL_LABEL, pods_of
from pipelines.trainjob import GROUP, RUNTIME, VERSION

TIMEOUT_S: Final = 8.0
PASSING: Final = "node.kubernetes.io/"
"""Taints that Kubernetes sets and takes away itself, such as `node.kubernetes.io/not-ready`."""
HARD: Final = frozenset({"NoSchedule", "NoExecute"})

REMEDY: Final = "is this the right context, and may you read this? kubectl auth can-i --list"

TRAINJOBS: Final = f"trainjobs.{GROUP}"
QUEUES: Final = "localqueues.kueue.x-k8s.io"
OPTIONAL: Final = {
    "featurestores.feast.dev": "Feast's operator",
    "servicemonitors.monitoring.coreos.com": "Prometheus' operator",
    "pipelineversions.pipelines.kubeflow.org": "pipelines kept in Kubernetes",
    TRAINJOBS: "training on several nodes",
    QUEUES: "Kueue",
}
"""Definitions by what they are for; which are needed depends on the choices that pipelines are compiled with."""


def checks(cluster: Cluster, namespace: str, connect: Callable[[], Any]) -> list[Check]:
    """The checks of a cluster.

    Args:
        cluster: the choices that pipelines are compiled with.
        namespace: where the pods of runs are.
        connect: gives the cluster's `ApiClient`; raises `NotAskedError` where none is named.
    """
    looks: dict[str, Callable[[Any], str]] = {
        "pools": lambda connection: _pools(cluster, client.CoreV1Api(connection)),
        "definitions": lambda connection: _definitions(cluster, connection),
        "workspace": lambda connection: _workspace(cluster, namespace, client.CoreV1Api(connection)),
        "secrets": lambda connection: _secrets(cluster, namespace, client.CoreV1Api(connection)),
    }
    return [Check(name, partial(_readable, look, connect), REMEDY) for name, look in looks.items()]


def from_kubeconfig(context: str) -> Callable[[], Any]:
    """Connects as kubectl does; an empty context takes the current one."""

    def connect() -> Any:
        settings = client.Configuration()
        settings.retries = False
        try:
            # The library looks for KUBECONFIG when it is imported, and never again.
            file = os.environ.get("KUBECONFIG")
            config.load_kube_config(config_file=file, context=context or None, client_configuration=settings)
        except ConfigException as error:
            if context:
                raise SickError(f"there is no context {context}.", "kubectl config get-contexts") from error
            raise NotAskedError(f"no cluster is named: {str(error).splitlines()[0]}") from error
        return client.ApiClient(settings)

    return connect


def _readable(look: Callable[[Any], str], connect: Callable[[], Any]) -> str:
    try:
        return look(connect())
    except ApiException as error:
        raise SickError(f"the Kubernetes API says {error.status} {error.reason}.", REMEDY) from error
    except HTTPError as error:
        raise SickError(f"the Kubernetes API does not answer ({type(error).__name__}).", REMEDY) from error


def _pools(cluster: Cluster, api: Any) -> str:
    nodes = api.list_node(_request_timeout=TIMEOUT_S).items
    told = []
    for pool, (gpus, at_once) in _needed(cluster).items():
        members = [node for node in nodes if (node.metadata.labels or {}).get(POOL_LABEL) == pool]
        if not members:
            raise SickError(f"no node is in the pool {pool}.", f"kubectl label node NODE {POOL_LABEL}={pool}")
        tolerated = cluster.accelerator if gpus else ""
        welcome = [node for node in members if not _repelled_by(node, tolerated)]
        if not welcome:
            taint = _repelled_by(members[0], tolerated)
            raise SickError(
                f"no step may run in the pool {pool}: {members[0].metadata.name} has the taint {taint}.",
                f"kubectl taint node {members[0].metadata.name} {taint}-   (accelerator nodes: {cluster.accelerator})",
            )
        fitting = [node for node in welcome if _accelerators(node, cluster.accelerator) >= gpus]
        if len(fitting) < at_once:
            most = max(_accelerators(node, cluster.accelerator) for node in welcome)
            raise SickError(
                f"the pool {pool} has {len(fitting)} of the nodes with {gpus} {cluster.accelerator} that are needed "
                f"({at_once}); the largest has {most}.",
                "install the device plugin, add nodes, or compile with fewer --gpus or --nodes.",
            )
        told.append(f"{pool} {len(welcome)}")
    return f"nodes in the pools: {', '.join(told)}."


def _needed(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """For each pool the accelerators of its largest pod, and how many such pods run at a time."""
    needed: dict[str, tuple[int, int]] = {}
    for pod in pods_of(cluster):
        gpus = max(pod.gpus, needed.get(pod.pool, (0, 0))[0])
        needed[pod.pool] = gpus, cluster.nodes if pod.pool == "gpu-large" else 1
    return needed


def _repelled_by(node: Any, tolerated: str) -> str:
    """The first taint that keeps a step's pod away, as `kubectl taint` writes it; empty for none."""
    for taint in node.spec.taints or []:
        if taint.effect in HARD and taint.key != tolerated and not taint.key.startswith(PASSING):
            return f"{taint.key}={taint.value or ''}:{taint.effect}"
    return ""


def _accelerators(node: Any, resource: str) -> int:
    return int((node.status.allocatable or {}).get(resource, 0))


def _definitions(cluster: Cluster, connection: Any) -> str:
    found = client.ApiextensionsV1Api(connection).list_custom_resource_definition(_request_timeout=TIMEOUT_S)
    names = {definition.metadata.name for definition in found.items}
    needed = [*([TRAINJOBS] if cluster.nodes > 1 else []), *([QUEUES] if cluster.queue else [])]
    for name in needed:
        if name not in names:
            raise SickError(f"{name} is not defined.", f"install what defines it, for {OPTIONAL[name]}.")
    if cluster.nodes > 1:
        try:
            client.CustomObjectsApi(connection).get_cluster_custom_object(
                GROUP, VERSION, "clustertrainingruntimes", RUNTIME, _request_timeout=TIMEOUT_S
            )
        except ApiException as error:
            if error.status != 404:
                raise
            raise SickError(f"Trainer has no runtime {RUNTIME}.", "install Kubeflow Trainer's runtimes.") from error
    missing = [f"{purpose} ({name})" for name, purpose in OPTIONAL.items() if name not in names]
    return f"everything needed is defined; not there: {', '.join(missing) or 'nothing'}."


def _workspace(cluster: Cluster, namespace: str, api: Any) -> str:
    if not cluster.claim:
        return f"each pod has its own disk, with a mirror at {cluster.remote}."
    claim = _read(
        lambda: api.read_namespaced_persistent_volume_claim(cluster.claim, namespace, _request_timeout=TIMEOUT_S),
        f"there is no PersistentVolumeClaim {cluster.claim} in {namespace}.",
        "create it, or compile with --claim '' --remote s3://BUCKET/PREFIX.",
    )
    shared = "ReadWriteMany" in (claim.spec.access_modes or [])
    if cluster.nodes > 1 and not shared:
        raise SickError(
            f"{cluster.claim} is {', '.join(claim.spec.access_modes)}: several nodes cannot write to it.",
            "take a StorageClass that gives ReadWriteMany.",
        )
    hint = "" if shared else ", so all steps of a run must fit on one node"
    return f"claim {cluster.claim} is {claim.status.phase}, {', '.join(claim.spec.access_modes)}{hint}."


def _secrets(cluster: Cluster, namespace: str, api: Any) -> str:
    secret = _read(
        lambda: api.read_namespaced_secret(cluster.s3_secret, namespace, _request_timeout=TIMEOUT_S),
        f"there is no Secret {cluster.s3_secret} in {namespace}: no pod of a run would start.",
        f"kubectl -n {namespace} create secret generic {cluster.s3_secret} --from-literal=accesskey=... "
        "--from-literal=secretkey=...",
    )
    missing = sorted({"accesskey", "secretkey"} - set(secret.data or {}))
    if missing:
        raise SickError(f"Secret {cluster.s3_secret} lacks {', '.join(missing)}.", "add it under this name.")
    return f"Secret {cluster.s3_secret} has both keys; {LLM_SECRET} is needed for language models only."


def _read(read: Callable[[], Any], absent: str, remedy: str) -> Any:
    try:
        return read()
    except ApiException as error:
        if error.status != 404:
            raise
        raise SickError(absent, remedy) from error
