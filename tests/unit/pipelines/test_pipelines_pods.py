"""The pods of a compiled pipeline: everything that a step needs to be scheduled, run, stopped and tried again."""

from pathlib import Path

import pytest

from gream.errors import ConfigError
from pipelines.cluster import Cluster
from pipelines.compile import PIPELINES
from pipelines.pods import PODS, TRAINING_POD

pytestmark = pytest.mark.unit

GPU_STEPS = {
    "encode-share": "gpu-small",
    "index-whole": "gpu-small",
    "update-index": "gpu-small",
    "extend": "gpu-small",
    "sft": "gpu-large",
    "srpo": "gpu-large",
    "evaluate": "gpu-large",
    "gate": "gpu-large",
}


def component(step):
    """Of a step that a pipeline has twice, KFP numbers the second."""
    return step.removesuffix("-2")


@pytest.fixture(scope="module", params=PIPELINES)
def gpu(compiled, request):
    return compiled(Cluster(gpus=4, queue="training"), request.param)


@pytest.fixture(scope="module", params=["training", "retraining"])
def gpu_training(compiled, request):
    return compiled(Cluster(gpus=4, queue="training"), request.param)


@pytest.fixture(scope="module", params=PIPELINES)
def cpu(compiled, request):
    return compiled(Cluster(claim="", remote="s3://gream/workspace"), request.param)


def accelerators(pipeline, step):
    found = pipeline.container(step)["resources"].get("accelerator", {})
    return found.get("resourceType"), found.get("resourceCount")


def test_a_step_has_an_accelerator_with_all_that_belongs_to_it_or_nothing_of_it(gpu):
    for step in gpu.steps:
        pod = gpu.pod(step)
        if component(step) in GPU_STEPS:
            assert accelerators(gpu, step) == ("nvidia.com/gpu", "4" if step in ("sft", "srpo") else "1")
            assert pod["nodeSelector"]["labels"] == {"gream.dev/pool": GPU_STEPS[component(step)]}
            assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
            (shared,) = pod["emptyDirMounts"]
            assert (shared["mountPath"], shared["medium"]) == ("/dev/shm", "Memory")
        else:
            assert accelerators(gpu, step) == (None, None)
            assert pod["nodeSelector"]["labels"] == {"gream.dev/pool": "cpu"}
            assert "tolerations" not in pod
            assert "emptyDirMounts" not in pod


def test_training_takes_cores_memory_and_shared_memory_for_each_accelerator(gpu_training, compiled):
    resources = gpu_training.container("sft")["resources"]
    assert (resources["resourceCpuRequest"], resources["resourceMemoryLimit"]) == ("32", "384Gi")
    assert gpu_training.pod("sft")["emptyDirMounts"][0]["sizeLimit"] == "64Gi"
    alone = compiled(Cluster(gpus=1, accelerator="amd.com/gpu"))
    assert accelerators(alone, "sft") == ("amd.com/gpu", "1")
    assert alone.container("sft")["resources"]["resourceMemoryLimit"] == "96Gi"
    assert alone.pod("sft")["tolerations"][0]["key"] == "amd.com/gpu"


def test_without_accelerators_every_pod_fits_on_a_small_node(cpu):
    for step in cpu.steps:
        assert accelerators(cpu, step) == (None, None)
        assert cpu.pod(step)["nodeSelector"]["labels"] == {"gream.dev/pool": "cpu"}
        resources = cpu.container(step)["resources"]
        assert resources["resourceCpuRequest"] == "1"
        assert int(resources["resourceMemoryLimit"].removesuffix("Gi")) <= 8


def test_every_pod_has_requests_limits_a_time_out_and_another_try(gpu):
    for step, task in gpu.steps.items():
        resources = gpu.container(step)["resources"]
        assert {"resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(
            resources
        )
        deadline = int(gpu.pod(step)["activeDeadlineSeconds"])
        assert 3600 <= deadline <= 72 * 3600
        assert task["retryPolicy"] == {
            "maxRetryCount": 4,
            "backoffDuration": "60s",
            "backoffFactor": 2.0,
            # From the start of the first attempt: all five, each with two days in the queue.
            "backoffMaxDuration": f"{5 * (deadline + 2 * 86_400)}s",
        }


def test_no_pod_runs_as_root_and_all_wait_in_the_queue(gpu, cpu):
    for step in gpu.steps:
        user = {"runAsUser": "10001", "runAsGroup": "10001", "runAsNonRoot": True}
        assert gpu.pod(step)["securityContext"] == user
        assert gpu.pod(step)["podMetadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "training"}
    assert not any("podMetadata" in cpu.pod(step) for step in cpu.steps)


def test_keys_come_from_secrets_and_each_goes_where_it_is_used(gpu):
    for step in gpu.steps:
        secrets = {secret["secretName"]: secret for secret in gpu.pod(step)["secretAsEnv"]}
        store = secrets.pop("mlpipeline-minio-artifact")
        assert {key["secretKey"]: key["envVar"] for key in store["keyToEnv"]} == {
            "accesskey": "AWS_ACCESS_KEY_ID",
            "secretkey": "AWS_SECRET_ACCESS_KEY",
        }
        variables = {name: {key["envVar"] for key in secret["keyToEnv"]} for name, secret in secrets.items()}
        if step in ("enrich-share", "corpora"):
            assert variables == {"gream-llm": {"GREAM_LLM_BASE_URL", "GREAM_LLM_API_KEY"}}
            assert secrets["gream-llm"]["optional"] is True
        elif step == "monitor":
            assert variables == {"gream-evidence": {"GREAM_EVIDENCE_KEY"}, "gream-evidently": {"EVIDENTLY_SECRET"}}
            assert secrets["gream-evidently"]["optional"] is True
            assert secrets["gream-evidence"]["optional"] is False
        else:
            assert variables == {}
        plain = {variable["name"]: variable["value"] for variable in gpu.container(step)["env"]}
        caches = {"HF_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR"}
        of_the_workspace = caches if "workspace" in gpu.parameters(step) else set()
        assert all(plain[name].startswith("/workspace/") for name in of_the_workspace)
        assert set(plain) == {"GREAM_S3_ENDPOINT", "GREAM_S3_RETRIES", "TQDM_MININTERVAL"} | of_the_workspace


def test_workspace_is_a_claim_where_a_step_has_a_place_on_it_and_finished_pods_go(gpu):
    for step in gpu.steps:
        if {"workspace", "place"} & gpu.parameters(step):
            (mount,) = gpu.pod(step)["pvcMount"]
            assert (mount["constant"], mount["mountPath"]) == ("gream-workspace", "/workspace")
        else:
            assert "pvcMount" not in gpu.pod(step)
    assert gpu.platform["pipelineConfig"] == {"resourceTtlOnCompletion": 7 * 86_400}


def test_a_handler_tidies_the_workspace_of_what_trains(gpu_training):
    assert gpu_training.steps["tidy"]["inputs"]["parameters"]["keep_days"] == {"runtimeValue": {"constant": 30.0}}


@pytest.mark.parametrize("pipeline", ["training", "retraining"])
def test_a_handler_tidies_a_mirror_without_a_claim_too(compiled, pipeline):
    tidied = compiled(Cluster(claim="", remote="s3://gream/workspace", keep_days=7), pipeline)
    assert tidied.steps["tidy"]["inputs"]["parameters"]["keep_days"] == {"runtimeValue": {"constant": 7.0}}
    plain = {variable["name"]: variable["value"] for variable in tidied.container("tidy")["env"]}
    assert plain["GREAM_WORKSPACE_REMOTE"] == "s3://gream/workspace"


def test_workspace_without_a_claim_is_a_folder_that_the_user_can_write_with_a_mirror(cpu):
    for step in cpu.steps:
        pod = cpu.pod(step)
        # The root of a claim's fresh volume belongs to root, and no field of KFP lets another user write there.
        assert not {"pvcMount", "genericEphemeralVolume"} & set(pod)
        plain = {variable["name"]: variable["value"] for variable in cpu.container(step)["env"]}
        if "workspace" in cpu.parameters(step):
            (folder,) = pod["emptyDirMounts"]
            assert folder == {"volumeName": "workspace", "mountPath": "/workspace", "sizeLimit": "200Gi"}
            assert plain["GREAM_WORKSPACE_REMOTE"] == "s3://gream/workspace"
        else:
            assert "emptyDirMounts" not in pod
            assert "GREAM_WORKSPACE_REMOTE" not in plain


@pytest.mark.parametrize("cluster", [Cluster(), Cluster(claim="", remote="s3://gream/workspace")])
def test_what_works_in_no_workspace_has_none(compiled, cluster):
    found = {
        component(step)
        for name in PIPELINES
        for step in compiled(cluster, name).steps
        if not {"pvcMount", "emptyDirMounts"} & set(compiled(cluster, name).pod(step))
    }
    nowhere = {"shares", "variants", "variant", "trial", "compare", "monitor"}
    assert found == nowhere | (set() if cluster.claim else {"promote"})


def test_every_step_has_a_pod_and_every_pod_a_step(compiled):
    clusters = (Cluster(gpus=4, queue="training"), Cluster(gpus=1, nodes=2))
    steps = {step for name in PIPELINES for cluster in clusters for step in compiled(cluster, name).steps}
    assert set(map(component, steps)) == set(PODS)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"gpus": -1}, "gpus = -1 and nodes = 1: at least 0 and 1 are needed"),
        ({"nodes": 2}, "nodes = 2 needs gpus"),
        ({"nodes": 2, "gpus": 8, "claim": "", "remote": "s3://gream/ws"}, "ReadWriteMany claim"),
        ({"claim": ""}, "a workspace needs a claim or a remote"),
        ({"remote": "gs://bucket/x"}, "is no place in an S3 store"),
        ({"keep_days": 0}, "keep_days = 0: at least 1 is needed"),
        ({"at_once": 0}, "at_once = 0: at least 1 is needed"),
    ],
)
def test_choices_that_do_not_fit(choices, message):
    with pytest.raises(ConfigError, match=message):
        Cluster(**choices)


def test_documentation_says_what_pods_ask_for():
    text = (Path(__file__).resolve().parents[3] / "docs" / "platform-teams.md").read_text()
    told = {}
    for line in text.split("## What each step takes")[1].split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for step in cells[0].replace("`", "").split(", ") if len(cells) == 6 else []:
            told[step] = cells[1:]
    assert set(PODS) < set(told)
    for step, pod in PODS.items():
        each = " x gpus" if pod is TRAINING_POD else ""
        gpus = "gpus" if each else str(pod.gpus or "")
        assert told[step] == [pod.pool, f"{pod.cpu}{each}", f"{pod.memory_gib}{each}", gpus, str(pod.hours)], step
