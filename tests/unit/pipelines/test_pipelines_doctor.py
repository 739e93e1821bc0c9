"""`gream doctor`: what is well, what is not and what to do, each check by itself."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from background_server import in_background
from click.testing import CliRunner
from kubernetes_stub import kubernetes_stub
from pipelines_kfp_stub import kfp_stub

from gream.cli import main
from gream.errors import StoreError
from pipelines.cluster import Cluster
from pipelines.doctor import cluster as doctor_cluster
from pipelines.doctor.examination import Check, Finding, NotAskedError, SickError, examine

pytestmark = pytest.mark.unit

NODES = "/api/v1/nodes"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RUNTIME = "/apis/trainer.kubeflow.org/v1alpha1/clustertrainingruntimes/torch-distributed"
CLAIM = "/api/v1/namespaces/kubeflow/persistentvolumeclaims/gream-workspace"
SECRET = "/api/v1/namespaces/kubeflow/secrets/mlpipeline-minio-artifact"
GPU_TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(name, pool, gpus=0, taints=()):
    return {
        "metadata": {"name": name, "labels": {"gream.dev/pool": pool}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "8", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}},
    }


def definition(name):
    names = {"plural": name.split(".")[0], "kind": "Thing"}
    spec = {"group": "g", "names": names, "scope": "Namespaced", "versions": []}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.fixture
def kubernetes():
    """A cluster with everything that training on two nodes with eight GPUs each needs."""
    with kubernetes_stub() as stub:
        stub.lists = {
            NODES: {
                "items": [
                    node("c1", "cpu", taints=[{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]),
                    node("s1", "gpu-small", 1, [GPU_TAINT]),
                    node("l1", "gpu-large", 8, [GPU_TAINT]),
                    node("l2", "gpu-large", 8, [GPU_TAINT]),
                ]
            },
            DEFINITIONS: {"items": [definition(name) for name in doctor_cluster.OPTIONAL]},
            RUNTIME: {"metadata": {"name": "torch-distributed"}},
            CLAIM: {
                "metadata": {"name": "gream-workspace"},
                "spec": {"accessModes": ["ReadWriteMany"]},
                "status": {"phase": "Bound"},
            },
            SECRET: {"data": {"accesskey": "YQ==", "secretkey": "Yg=="}},
        }
        yield stub


def look(kubernetes, **choices):
    checks = doctor_cluster.checks(Cluster(**choices), "kubeflow", kubernetes.api)
    return {finding.check: finding for finding in examine(checks, timeout_s=10)}


def test_cluster_in_good_health(kubernetes):
    found = look(kubernetes, gpus=8, nodes=2, queue="training")
    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(found, "ok"), found
    assert found["pools"].told == "nodes in the pools: cpu 1, gpu-small 1, gpu-large 2."
    assert found["workspace"].told == "claim gream-workspace is Bound, ReadWriteMany."


def test_cluster_without_accelerators_needs_the_cpu_pool_alone(kubernetes):
    kubernetes.lists[NODES]["items"] = [node("c1", "cpu")]
    kubernetes.lists[DEFINITIONS] = {"items": []}
    found = look(kubernetes)
    assert {finding.state for finding in found.values()} == {"ok"}
    assert "not there: Feast's operator (featurestores.feast.dev)" in found["definitions"].told


@pytest.mark.parametrize(
    ("nodes", "choices", "told", "remedy"),
    [
        ([], {}, "no node is in the pool cpu.", "kubectl label node NODE gream.dev/pool=cpu"),
        (
            [node("c1", "cpu", taints=[{"key": "team", "value": "b", "effect": "NoSchedule"}])],
            {},
            "no step may run in the pool cpu: c1 has the taint team=b:NoSchedule.",
            "kubectl taint node c1 team=b:NoSchedule-",
        ),
        (
            [node("c1", "cpu"), node("s1", "gpu-small", 1), node("l1", "gpu-large", 4, [GPU_TAINT])],
            {"gpus": 8},
            "the pool gpu-large has 0 of the nodes with 8 nvidia.com/gpu that are needed (1); the largest has 4.",
            "compile with fewer --gpus",
        ),
        (
            [node("c1", "cpu"), node("s1", "gpu-small"), node("l1", "gpu-large", 8, [GPU_TAINT])],
            {"gpus": 8},
            "the pool gpu-small has 0 of the nodes with 1 nvidia.com/gpu that are needed (1); the largest has 0.",
            "install the device plugin",
        ),
    ],
)
def test_pools_that_would_leave_pods_waiting(kubernetes, nodes, choices, told, remedy):
    kubernetes.lists[NODES]["items"] = nodes
    finding = look(kubernetes, **choices)["pools"]
    assert (finding.state, finding.told) == ("failed", told)
    assert remedy in finding.remedy


def test_what_pods_refer_to_and_is_not_there(kubernetes):
    for path in (RUNTIME, CLAIM):
        del kubernetes.lists[path]
    kubernetes.lists[SECRET]["data"].pop("secretkey")
    found = look(kubernetes, gpus=8, nodes=2)
    assert found["definitions"].told == "Trainer has no runtime torch-distributed."
    assert found["workspace"].told == "there is no PersistentVolumeClaim gream-workspace in kubeflow."
    assert found["secrets"].told == "Secret mlpipeline-minio-artifact lacks secretkey."
    assert found["pools"].state == "ok"
    del kubernetes.lists[SECRET]
    assert "no pod of a run would start" in look(kubernetes)["secrets"].told


def test_claim_that_several_nodes_cannot_share(kubernetes):
    kubernetes.lists[CLAIM]["spec"]["accessModes"] = ["ReadWriteOnce"]
    assert look(kubernetes, gpus=8, nodes=2)["workspace"].state == "failed"
    assert "all steps of a run must fit on one node" in look(kubernetes)["workspace"].told


def test_a_check_that_hangs_or_breaks_is_a_finding_and_holds_up_no_other():
    stuck = threading.Event()

    def hang():
        stuck.wait()
        return "never"

    def break_down():
        raise KeyError("surprise")

    def refuse():
        raise StoreError("The store refuses.")

    def skip():
        raise NotAskedError("nothing to look at.")

    def ail():
        raise SickError("It is ill.", "take two of these.")

    looks = {"hang": hang, "break": break_down, "refuse": refuse, "skip": skip, "ail": ail, "well": lambda: "fine."}
    findings = examine([Check(name, act, f"remedy of {name}") for name, act in looks.items()], timeout_s=0.5)
    stuck.set()
    assert findings == [
        Finding("hang", "failed", "no answer within 0.5 s.", "remedy of hang"),
        Finding("break", "failed", "KeyError: 'surprise'", "remedy of break"),
        Finding("refuse", "failed", "The store refuses.", "remedy of refuse"),
        Finding("skip", "skipped", "nothing to look at."),
        Finding("ail", "failed", "It is ill.", "take two of these."),
        Finding("well", "ok", "fine."),
    ]


@contextmanager
def api_that_says(status, **body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/readyz"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with in_background(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """The command, on a machine that names no cluster."""
    for name in ("KFP_ENDPOINT", "KFP_TOKEN", "GREAM_WORKSPACE_REMOTE", "GREAM_API"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return lambda *arguments: CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False)


def findings(result):
    return {finding["check"]: finding for finding in json.loads(result.output)}


def test_nothing_is_named_so_nothing_is_checked(doctor):
    result = doctor("--json")
    assert result.exit_code == 0
    assert {finding["state"] for finding in findings(result).values()} == {"skipped"}


def test_serving_and_kfp_in_good_health(doctor):
    with kfp_stub() as kfp, api_that_says(200, policy_version="8bd9481a7cb0", features="up") as url:
        assert CliRunner().invoke(main, ["pipelines", "upload", "--endpoint", kfp.endpoint]).exit_code == 0
        result = doctor("--endpoint", kfp.endpoint, "--api", url)
    assert result.exit_code == 0, result.output
    assert f"+ policy       {url} serves policy 8bd9481a7cb0." in result.output
    assert "+ features     the feature store answers the API." in result.output
    assert "+ pipelines    uploaded: gream-training-" in result.output


def test_each_failure_says_what_to_do_and_the_exit_status_tells(doctor):
    with kfp_stub() as kfp, api_that_says(200, policy_version="8bd9481a7cb0", features="down") as url:
        result = doctor("--endpoint", kfp.endpoint, "--api", url, "--json")
    found = findings(result)
    assert result.exit_code == 1
    assert (found["kfp"]["state"], found["policy"]["state"]) == ("ok", "ok")
    assert found["pipelines"]["remedy"] == "upload them: gream pipelines upload"
    assert found["features"]["told"].startswith("the feature store is down")
    assert "kubectl -n gream get pods" in found["features"]["remedy"]


def test_engine_without_a_policy_and_api_that_is_not_there(doctor):
    with api_that_says(503, code="engine_not_ready") as url:
        assert "the engine has no policy yet" in findings(doctor("--api", url, "--json"))["policy"]["told"]
    gone = findings(doctor("--api", url, "--json"))
    assert {gone[name]["state"] for name in ("policy", "features")} == {"failed"}
    assert "start it (gream serve)" in gone["policy"]["remedy"]


def test_an_api_that_is_no_url_is_said_without_a_warning(doctor, recwarn):
    policy = findings(doctor("--api", "notaurl", "--json"))["policy"]
    assert (policy["told"], policy["remedy"]) == ("notaurl is no URL.", "give --api http://HOST:PORT")
    assert list(recwarn) == []


def test_cluster_is_found_as_kubectl_finds_it(doctor, kubernetes, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    named = {"name": "lab", "cluster": {"server": kubernetes.host}}
    context = {"name": "lab", "context": {"cluster": "lab", "user": "me"}}
    settings = {"clusters": [named], "contexts": [context], "users": [{"name": "me", "user": {}}]}
    (tmp_path / "config").write_text(yaml.safe_dump({**settings, "current-context": "lab", "kind": "Config"}))
    result = doctor("--gpus", "8", "--json")
    assert findings(result)["pools"]["state"] == "ok", result.output
    elsewhere = findings(doctor("--context", "elsewhere", "--json"))["pools"]
    assert (elsewhere["state"], elsewhere["told"]) == ("failed", "there is no context elsewhere.")
