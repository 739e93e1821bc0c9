"""Training by several nodes: a TrainJob is submitted, watched, and taken away.

The step that launches holds no accelerator. Its own pod may go at any time: told to end, it takes the TrainJob along;
gone without a word, its next attempt finds the TrainJob and watches on. So the TrainJob belongs to the run's workflow,
not to the pod. Checkpoints are in the workspace either way.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from gream.artifacts import MANIFEST
from gream.stages.launch import WORKER, TrainingError, TrainingJob
from gream.stages.store import stage_facts
from pipelines.trainjob import GROUP, PLURAL, VERSION, TrainJob

POLL_S: Final = 10.0
PATIENCE: Final = 30
"""Looks in a row that the Kubernetes API may leave unanswered."""
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class TrainJobLauncher:
    """A `gream.stages.launch.Launcher` for several nodes.

    Attributes:
        template: the TrainJob; its name and command are filled in for each job.
        api: of the cluster.
        poll_s: seconds between two looks.
    """

    template: TrainJob
    api: Any
    poll_s: float = POLL_S

    @classmethod
    def in_cluster(cls, template: TrainJob) -> "TrainJobLauncher":
        """For a step of KFP, in its namespace; the TrainJob belongs to the workflow that the step's pod belongs to.

        Raises:
            TrainingError: the pod belongs to none.
        """
        config.load_incluster_config()
        namespace = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        pod = client.CoreV1Api().read_namespaced_pod(os.environ["KFP_POD_NAME"], namespace)
        placed = replace(template, namespace=namespace, owner=_owner_of(pod))
        return cls(placed, client.CustomObjectsApi())

    @property
    def processes(self) -> int:
        """That train together."""
        return self.template.nodes * self.template.processes

    def name_of(self, job: TrainingJob) -> str:
        """What the TrainJob of a job is called; Trainer's own names for its pods, at most 63 characters, begin with it.

        A recipe has one fingerprint in all workspaces of a namespace. The name tells these apart too, by claim and
        folder: a TrainJob that is found by it is taken for an earlier attempt's, and taken away.
        """
        fingerprint = job.work.name.removesuffix(".work")
        volumes = self.template.parts.volumes
        claims = [volume["persistentVolumeClaim"] for volume in volumes if "persistentVolumeClaim" in volume]
        place = json.dumps([sorted(claim["claimName"] for claim in claims), str(job.work)])
        return f"gream-{job.stage}-{fingerprint[:12]}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"

    def launch(self, job: TrainingJob) -> dict[str, Any]:
        """See `gream.stages.launch.Launcher`."""
        name = self.name_of(job)
        with _ending_politely():
            try:
                self._submit(name, job)
                self._watch(name)
                return job.notes()
            finally:
                self._take_away(name)

    def _submit(self, name: str, job: TrainingJob) -> None:
        """Create the TrainJob, unless an earlier attempt's is still at work or has finished."""
        found = self._find(name, first=True)
        if found is not None:
            if _condition(found, "Failed") is None and "deletionTimestamp" not in found["metadata"]:
                return
            self._delete(name)
            self._wait_until_gone(name)
        inputs = {key: _on_workspace(folder, job.work.parents[1]) for key, folder in job.inputs.items()}
        file = job.model_copy(update={"inputs": inputs}).file()
        command = ["python", "-m", "torch.distributed.run", "-m", WORKER, str(file)]
        manifest = replace(self.template, name=name, command=command).manifest()
        self.api.create_namespaced_custom_object(GROUP, VERSION, self.template.namespace, PLURAL, manifest)

    def _watch(self, name: str) -> None:
        """Until the TrainJob has ended; whether well is for the notes to tell."""
        while True:
            found = self._find(name)
            if found is None:
                raise TrainingError(f"TrainJob {name} was deleted while it trained.")
            if _condition(found, "Complete") is not None:
                return
            failed = _condition(found, "Failed")
            if failed is not None:
                print(f"TrainJob {name} failed: {failed.get('message', '')}")
                return
            time.sleep(self.poll_s)

    def _wait_until_gone(self, name: str) -> None:
        for _ in range(PATIENCE):
            if self._find(name) is None:
                return
            time.sleep(self.poll_s)
        raise TrainingError(f"TrainJob {name} of an earlier attempt does not go away; delete it by hand.")

    def _find(self, name: str, *, first: bool = False) -> Mapping[str, Any] | None:
        """The TrainJob, if there is one. To give up takes it away: an API that is restarting is waited for, which may
        refuse good credentials meanwhile. Only who may not look at the first time never may."""
        unanswered = 0
        while True:
            try:
                found: Mapping[str, Any] = self.api.get_namespaced_custom_object(
                    GROUP, VERSION, self.template.namespace, PLURAL, name
                )
                return found
            except (ApiException, HTTPError) as error:
                status = getattr(error, "status", None)
                if status == HTTPStatus.NOT_FOUND:
                    return None
                unanswered += 1
                if unanswered == PATIENCE or (first and status == HTTPStatus.FORBIDDEN):
                    raise TrainingError(f"the Kubernetes API does not tell how TrainJob {name} is: {error}") from error
            time.sleep(self.poll_s)

    def _take_away(self, name: str) -> None:
        """Delete the TrainJob, whatever has become of it: it must not hide why it is deleted."""
        try:
            self._delete(name)
        except (ApiException, HTTPError) as error:
            print(f"TrainJob {name} could not be deleted, and goes with its workflow: {error}")

    def _delete(self, name: str) -> None:
        try:
            self.api.delete_namespaced_custom_object(
                GROUP, VERSION, self.template.namespace, PLURAL, name, propagation_policy="Foreground"
            )
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise


def _condition(found: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """A condition of a TrainJob that holds."""
    conditions: list[Mapping[str, Any]] = found.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == kind and entry["status"] == "True"), None)


def _on_workspace(folder: Path, workspace: Path) -> Path:
    """Where the nodes find an input: KFP has put it into this pod alone, but the store has it too."""
    facts = stage_facts(folder)
    stored = workspace / facts["stage"] / facts["fingerprint"]
    if not (stored / MANIFEST).is_file():
        raise TrainingError(f"{stored} is not there: several nodes need a workspace that all steps of the run share.")
    return stored


def _owner_of(pod: Any) -> dict[str, str]:
    """What a pod belongs to, as the owner of something else."""
    owners = pod.metadata.owner_references
    if not owners:
        raise TrainingError(f"pod {pod.metadata.name} belongs to no workflow, so nothing would take its TrainJob away.")
    owner = owners[0]
    return {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid}


@contextmanager
def _ending_politely() -> Iterator[None]:
    """Let a request to end unwind the stack: by default it ends the process on the spot."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(143)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
