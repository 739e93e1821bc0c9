"""Training on several nodes: the TrainJob's manifest, and its launcher against a Kubernetes API on loopback."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from kfp.dsl import TaskConfig
from kubernetes import client, config
from kubernetes_stub import kubernetes_stub

from gream.artifacts import atomic_folder, write_text_atomic
from gream.profile_files import load_profile
from gream.stages import sft, srpo
from gream.stages.launch import FAILURE, JOB, NOTES, TrainingError, TrainingJob
from gream.stages.store import Recipe, open_run, produce, stage_facts
from pipelines import trainjob_launcher
from pipelines.cluster import Cluster
from pipelines.trainjob import of_step
from pipelines.trainjob_launcher import TrainJobLauncher

pytestmark = pytest.mark.unit

SHARED = Path(__file__).resolve().parents[4] / "shared"
KEY = {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "store", "key": "accesskey"}}}
STEP = TaskConfig(
    resources={"limits": {"nvidia.com/gpu": "8", "memory": "768Gi"}, "requests": {"cpu": "64", "memory": "768Gi"}},
    env=[{"name": "GREAM_S3_ENDPOINT", "value": "http://store:9000"}, KEY],
    node_selector={"gream.dev/pool": "gpu-large"},
    tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    volumes=[
        {"name": "gream-workspace", "persistentVolumeClaim": {"claimName": "gream-workspace"}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "128Gi"}},
    ],
    volume_mounts=[
        {"name": "gream-workspace", "mountPath": "/workspace"},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ],
)
TEMPLATE = replace(of_step(STEP, "gream/train:0.1.0", nodes=2, processes=8, queue="training"), namespace="team-a")


@pytest.fixture
def kubernetes():
    with kubernetes_stub() as stub:
        yield stub


@pytest.fixture
def launcher(kubernetes):
    return TrainJobLauncher(TEMPLATE, client.CustomObjectsApi(kubernetes.api()), poll_s=0.01)


@pytest.fixture
def step(kubernetes, tmp_path, monkeypatch):
    """Be the step of a run in `team-a`, in a pod with these owners."""

    def be(owners):
        (tmp_path / "namespace").write_text("team-a")
        monkeypatch.setattr(trainjob_launcher, "NAMESPACE_FILE", tmp_path / "namespace")
        monkeypatch.setattr(config, "load_incluster_config", lambda: None)
        monkeypatch.setattr(client.Configuration, "_default", client.Configuration(host=kubernetes.host))
        monkeypatch.setenv("KFP_POD_NAME", "sft-job-7")
        monkeypatch.setenv("KFP_POD_UID", "uid-of-the-pod")
        pod = {"metadata": {"name": "sft-job-7", "ownerReferences": owners}}
        kubernetes.lists["/api/v1/namespaces/team-a/pods/sft-job-7"] = pod

    return be


@pytest.fixture
def job(tmp_path):
    """SFT's work, with one input that the workspace holds and that KFP has copied into the step's pod."""

    def make(target, _work):
        with atomic_folder(target, "catalog") as folder:
            (folder / "text").write_text("rows")
        return {}

    recipe = Recipe(stage="ingest", kind="catalog", settings={}, seed=0, inputs={}, code=("data",))
    stored = produce(recipe, make, tmp_path / "workspace")
    copy = tmp_path / "pod" / "catalog"
    copy.parent.mkdir()
    copy.symlink_to(stored)
    work = tmp_path / "workspace" / "sft" / f"{'a1b2c3' * 10}dead.work"
    work.mkdir(parents=True)
    return TrainingJob(stage="sft", inputs={"catalog": copy}, profile=load_profile("laptop"), seed=0, work=work)


def condition(kind):
    return {"type": kind, "status": "True", "message": f"it is {kind}"}


def end(found, *kinds):
    found["status"] = {"conditions": [condition("Created"), *map(condition, kinds)]}


def test_manifest_gives_each_node_what_the_step_was_given():
    manifest = replace(TEMPLATE, name="gream-sft-1", command=["torchrun"], owner={"uid": "u"}).manifest()
    trainer = manifest["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"], trainer["image"]) == (2, 8, "gream/train:0.1.0")
    assert trainer["resourcesPerNode"] == STEP.resources
    assert trainer["env"] == STEP.env
    assert manifest["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "training"}
    (patch,) = manifest["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert (pod["nodeSelector"], pod["tolerations"]) == (STEP.node_selector, STEP.tolerations)
    assert (pod["volumes"], pod["containers"][0]["volumeMounts"]) == (STEP.volumes, STEP.volume_mounts)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_manifest_fits_the_schema_of_trainer(tmp_path):
    if not (SHARED / "tools" / "crdcheck.py").is_file():
        pytest.skip("the CRD check is not here: put crdcheck.py and Trainer's CRDs into ../shared to run this test")
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "w", "uid": "u"}
    path = tmp_path / "trainjob.yaml"
    path.write_text(yaml.safe_dump(replace(TEMPLATE, name="gream-sft-1", command=["torchrun"], owner=owner).manifest()))
    check, schemas = SHARED / "tools" / "crdcheck.py", SHARED / "crds" / "trainer.kubeflow.org_trainjobs.yaml"
    result = subprocess.run([sys.executable, check, schemas, path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "OK ('trainer.kubeflow.org/v1alpha1', 'TrainJob') gream-sft-1" in result.stdout


def test_step_that_launches_holds_no_accelerator_and_passes_it_on(compiled):
    pipeline = compiled(Cluster(nodes=2, gpus=8, memory_gib=160, queue="training"))
    assert {"sft-job", "srpo-job"} <= set(pipeline.steps)
    assert not {"sft", "srpo"} & set(pipeline.steps)
    for step in ("sft-job", "srpo-job"):
        passed = pipeline.spec["components"][f"comp-{step}"]["taskConfigPassthroughs"]
        assert {entry["field"]: entry.get("applyToTask", False) for entry in passed} == {
            "RESOURCES": False,
            "KUBERNETES_NODE_SELECTOR": False,
            "KUBERNETES_TOLERATIONS": False,
            "ENV": True,
            "KUBERNETES_VOLUMES": True,
        }
        resources = pipeline.container(step)["resources"]
        assert (resources["accelerator"]["resourceCount"], resources["resourceMemoryLimit"]) == ("8", "1280Gi")
        constants = {
            name: value["runtimeValue"]["constant"]
            for name, value in pipeline.steps[step]["inputs"]["parameters"].items()
            if "runtimeValue" in value
        }
        assert constants == {"image": "gream/train:0.1.0", "nodes": 2.0, "processes": 8.0, "queue": "training"}


def test_job_is_submitted_watched_and_taken_away(kubernetes, launcher, job):
    looks = []

    def train(found):
        looks.append(1)
        if len(looks) == 3:
            write_text_atomic(job.work / NOTES, '{"log": [{"loss": 1.5}]}')
            end(found, "Complete")

    kubernetes.on_get = train
    assert launcher.processes == 16
    assert launcher.launch(job) == {"log": [{"loss": 1.5}]}
    (manifest,) = kubernetes.created
    name = manifest["metadata"]["name"]
    assert re.fullmatch("gream-sft-a1b2c3a1b2c3-[0-9a-f]{8}", name)
    assert manifest["metadata"]["namespace"] == "team-a"
    assert kubernetes.deleted == [name]
    assert manifest["spec"]["trainer"]["command"][-2:] == ["gream.stages.worker", str(job.work / JOB)]
    filed = TrainingJob.model_validate_json((job.work / JOB).read_text())
    assert filed.inputs["catalog"] == job.inputs["catalog"].resolve()  # In the workspace, where the nodes find it.
    assert filed.model_copy(update={"inputs": job.inputs}) == job


def test_job_belongs_to_the_workflow_since_it_outlives_the_pod_that_launched_it(kubernetes, step, job):
    workflow = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "training-7", "uid": "uid-of-the-run"}
    step([{**workflow, "controller": True, "blockOwnerDeletion": True}])

    def finish(manifest):
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(manifest, "Complete")

    kubernetes.on_create = finish
    assert TrainJobLauncher.in_cluster(TEMPLATE).launch(job) == {"log": []}
    (manifest,) = kubernetes.created
    assert manifest["metadata"]["ownerReferences"] == [workflow]
    assert manifest["metadata"]["namespace"] == "team-a"


def test_pod_of_no_workflow_launches_nothing(step):
    step([])
    with pytest.raises(TrainingError, match=r"^pod sft-job-7 belongs to no workflow"):
        TrainJobLauncher.in_cluster(TEMPLATE)


def test_failure_that_a_pod_s_next_start_has_overcome(kubernetes, launcher, job):
    def recover(found):
        write_text_atomic(job.work / FAILURE, "the store does not answer")
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(found, "Complete")

    kubernetes.on_get = recover
    assert launcher.launch(job) == {"log": []}


def test_failure_is_told_in_the_words_of_the_process_that_failed(kubernetes, launcher, job):
    def fail(found):
        write_text_atomic(job.work / FAILURE, "model.backbone = 'x' cannot be loaded.")
        end(found, "Failed")

    kubernetes.on_get = fail
    with pytest.raises(TrainingError, match=r"^model.backbone = 'x' cannot be loaded.$"):
        launcher.launch(job)
    assert kubernetes.trainjobs == {}


def test_failure_without_words(kubernetes, launcher, job, capsys):
    kubernetes.on_get = lambda found: end(found, "Failed")
    with pytest.raises(TrainingError, match="the processes that trained sft ended early"):
        launcher.launch(job)
    assert f"TrainJob {launcher.name_of(job)} failed: it is Failed" in capsys.readouterr().out


def test_next_attempt_watches_the_job_that_is_still_at_work(kubernetes, launcher, job):
    job.file()
    name = launcher.name_of(job)
    kubernetes.trainjobs[name] = {"metadata": {"name": name}, "spec": {}}

    def finish(found):
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(found, "Complete")

    kubernetes.on_get = finish
    assert launcher.launch(job) == {"log": []}
    assert kubernetes.created == []


def test_next_attempt_waits_for_an_api_that_is_restarting_and_leaves_the_job_at_work(kubernetes, launcher, job):
    job.file()
    name = launcher.name_of(job)
    kubernetes.trainjobs[name] = {"metadata": {"name": name}, "spec": {}}
    kubernetes.unanswered["GET"] = 2

    def finish(found):
        assert kubernetes.deleted == []
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(found, "Complete")

    kubernetes.on_get = finish
    assert launcher.launch(job) == {"log": []}
    assert kubernetes.created == []


def test_an_api_that_refuses_to_answer_is_not_asked_again(kubernetes, launcher, job, monkeypatch):
    monkeypatch.setattr(kubernetes, "answer", lambda *_: (403, {"reason": "Forbidden"}))
    monkeypatch.setattr(trainjob_launcher.time, "sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(TrainingError, match=rf"does not tell how TrainJob {launcher.name_of(job)} is: \(403\)"):
        launcher.launch(job)


@pytest.mark.parametrize("status", [401, 403, 503])
def test_an_api_that_fails_while_a_job_trains_costs_nothing(kubernetes, launcher, job, status):
    looks = []

    def train(found):
        looks.append(1)
        if len(looks) == 1:
            kubernetes.unanswered_status, kubernetes.unanswered["GET"] = status, 3
        else:
            assert kubernetes.deleted == []
            write_text_atomic(job.work / NOTES, '{"log": []}')
            end(found, "Complete")

    kubernetes.on_get = train
    assert launcher.launch(job) == {"log": []}
    assert len(kubernetes.created) == 1


def test_a_job_that_cannot_be_taken_away_does_not_hide_why_training_failed(kubernetes, launcher, job, capsys):
    def fail(found):
        write_text_atomic(job.work / FAILURE, "out of memory.")
        end(found, "Failed")

    kubernetes.on_get = fail
    kubernetes.unanswered["DELETE"] = 1
    with pytest.raises(TrainingError, match=r"^out of memory.$"):
        launcher.launch(job)
    assert f"TrainJob {launcher.name_of(job)} could not be deleted" in capsys.readouterr().out


class Lost:
    """A launcher whose pod goes without a word, after these processes were started."""

    processes = TEMPLATE.nodes * TEMPLATE.processes

    def launch(self, job):
        self.job = job
        job.file()
        raise KeyboardInterrupt


@pytest.mark.parametrize(("stage", "inputs"), [(sft, ("catalog", "index", "corpus")), (srpo, ("corpus", "policy"))])
def test_next_attempt_takes_the_policy_of_a_job_that_ended_meanwhile(kubernetes, launcher, tmp_path, stage, inputs):
    for name in inputs:
        with atomic_folder(tmp_path / name, name):
            pass
    given = *(tmp_path / name for name in inputs), open_run("laptop", [], seed=0, workspace=str(tmp_path / "workspace"))
    lost = Lost()
    with pytest.raises(KeyboardInterrupt):
        stage.run(*given, lost)
    with atomic_folder(lost.job.policy, "policy") as folder:
        (folder / "weights").write_text("days of work")
    write_text_atomic(lost.job.work / NOTES, '{"log": [{"loss": 1.5}]}')
    name = launcher.name_of(lost.job)
    kubernetes.trainjobs[name] = {"metadata": {"name": name}}
    end(kubernetes.trainjobs[name], "Complete")

    made = stage.run(*given, launcher)
    assert (made / "weights").read_text() == "days of work"
    assert stage_facts(made)["notes"] == {"log": [{"loss": 1.5}]}
    assert (kubernetes.created, kubernetes.deleted) == ([], [name])


def test_next_attempt_replaces_a_job_that_failed(kubernetes, launcher, job):
    name = launcher.name_of(job)
    write_text_atomic(job.work / FAILURE, "the node was lost")
    kubernetes.trainjobs[name] = {"metadata": {"name": name}}
    end(kubernetes.trainjobs[name], "Failed")

    def finish(manifest):
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(manifest, "Complete")

    kubernetes.on_create = finish
    assert launcher.launch(job) == {"log": []}
    assert kubernetes.deleted == [name, name]


def test_next_attempt_waits_for_a_job_that_is_going_and_makes_its_own(kubernetes, launcher, job):
    name = launcher.name_of(job)
    kubernetes.trainjobs[name] = {"metadata": {"name": name, "deletionTimestamp": "2026-11-26T10:00:00Z"}}
    looks = []

    def go(found):
        looks.append(found)
        if len(looks) == 3:
            del kubernetes.trainjobs[name]
            kubernetes.on_get = lambda _: None

    def finish(manifest):
        write_text_atomic(job.work / NOTES, '{"log": []}')
        end(manifest, "Complete")

    kubernetes.on_get, kubernetes.on_create = go, finish
    assert launcher.launch(job) == {"log": []}
    assert [made["metadata"]["name"] for made in kubernetes.created] == [name]


def test_job_that_somebody_deletes(kubernetes, launcher, job):
    kubernetes.on_get = lambda found: kubernetes.trainjobs.pop(found["metadata"]["name"])
    with pytest.raises(TrainingError, match=f"TrainJob {launcher.name_of(job)} was deleted while it trained"):
        launcher.launch(job)


def test_workspace_that_the_nodes_do_not_share(launcher, job, tmp_path):
    elsewhere = tmp_path / "scratch" / "sft" / job.work.name
    elsewhere.mkdir(parents=True)
    with pytest.raises(TrainingError, match="several nodes need a workspace that all steps of the run share"):
        launcher.launch(job.model_copy(update={"work": elsewhere}))


def test_step_that_is_told_to_end_takes_its_job_along(kubernetes, launcher, job):
    kubernetes.on_get = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit):
        launcher.launch(job)
    assert kubernetes.deleted == [launcher.name_of(job)]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("on", ["another claim", "another folder of the claim"])
def test_one_recipe_in_two_workspaces_of_a_namespace_is_two_jobs(kubernetes, launcher, job, tmp_path, on):
    ours = launcher.name_of(job)
    kubernetes.trainjobs[ours] = {"metadata": {"name": ours}}
    kubernetes.on_get = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    if on == "another claim":
        volumes = [{"name": "gream-workspace", "persistentVolumeClaim": {"claimName": "theirs"}}, *STEP.volumes[1:]]
        template = replace(TEMPLATE, parts=replace(TEMPLATE.parts, volumes=volumes))
        launcher = replace(launcher, template=template)
    else:
        work = tmp_path / "workspace" / "theirs" / "sft" / job.work.name
        work.mkdir(parents=True)
        (work.parents[1] / "ingest").symlink_to(tmp_path / "workspace" / "ingest")
        job = job.model_copy(update={"work": work})
    with pytest.raises(SystemExit):
        launcher.launch(job)
    (theirs,) = kubernetes.created
    assert kubernetes.deleted == [theirs["metadata"]["name"]]
    assert kubernetes.trainjobs.keys() == {ours}
