"""The walk through docs/kubernetes.md without a cluster: what the overlay `kind` starts, started here.

Object store, Redis, the job that fills the feature store, engine and API run as the manifests and images say; then a
user of the catalog gets recommendations. What the API's image does not have (torch, scipy, Pillow, ...) cannot be
imported in that process here either.
"""

import os
import shutil
import subprocess
import time

import httpx
import polars as pl
import pytest
import yaml
from k8s_local_pod import PROGRAMS, LocalCluster, free_ports
from tiny_policy import write_tiny_policy

from gream.data.catalog import ITEM_SCHEMA, Catalog, CatalogFacts
from gream.objectstore.bucket import Bucket
from gream.objectstore.settings import StoreSettings

pytestmark = pytest.mark.integration

START_LIMIT_S = 240
NOT_IN_THE_API_IMAGE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "vllm", "scipy", "kfp", "PIL"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
"""


def write_catalog(folder, item_ids):
    """User n has seen items n, n + 1 and n + 2."""
    rows = [(f"user-{user}", item_ids[user + step], 1_000 * user + step) for user in range(9) for step in range(3)]
    interactions = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    nothing = {"title": item_ids, "description": [""] * len(item_ids), "brand": [""] * len(item_ids)}
    items = pl.DataFrame({"item_id": item_ids, **nothing, "categories": [[]] * len(item_ids)}, schema=ITEM_SCHEMA)
    Catalog(interactions, items, CatalogFacts(dataset="made-up", source="a test", exclude_seen=True)).save(folder)


def answers(url, code):
    try:
        return httpx.get(url, timeout=10).status_code == code
    except httpx.TransportError:
        return False


def wait_for(condition, log):
    deadline = time.monotonic() + START_LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, log()[-6_000:]
        time.sleep(0.2)


@pytest.fixture
def cluster(kubectl, repository, tmp_path):
    for program in ("weed", "redis-server"):
        if shutil.which(program, path=f"{PROGRAMS}:{os.environ['PATH']}") is None:
            pytest.skip(f"{program} is not installed")
    rendered = subprocess.run(
        [kubectl, "kustomize", repository / "k8s/overlays/kind"], capture_output=True, text=True, check=True
    ).stdout
    objects = [thing for thing in yaml.safe_load_all(rendered) if thing]
    services = ("object-store:9000", "redis:6379", "engine:3000", "api:3000")
    running = LocalCluster(objects, tmp_path, dict(zip(services, free_ports(4), strict=True)))
    yield running
    running.stop()


def publish(cluster, folder, uri):
    """As a person does it from outside, through a forwarded port; whether it worked."""
    environment = os.environ | {
        "GREAM_S3_ENDPOINT": f"http://127.0.0.1:{cluster.ports['object-store:9000']}",
        "AWS_ACCESS_KEY_ID": cluster.secret("object-store", "accesskey"),
        "AWS_SECRET_ACCESS_KEY": cluster.secret("object-store", "secretkey"),
    }
    command = [PROGRAMS / "gream", "store", "publish", folder, uri]
    return subprocess.run(command, env=environment, check=False).returncode == 0


def test_from_an_empty_cluster_to_a_served_recommendation(cluster, tmp_path):
    urls = {service: f"http://127.0.0.1:{port}" for service, port in cluster.ports.items()}
    engine, api = urls["engine:3000"], urls["api:3000"]

    # Its other parts must not meet those of another test's.
    inner = [f"-{part}.port={port}" for part, port in zip(("master", "volume", "filer"), free_ports(3), strict=True)]
    cluster.start("StatefulSet", "object-store", [f"-s3.port={cluster.ports['object-store:9000']}", *inner])
    cluster.start("StatefulSet", "redis", ["--port", str(cluster.ports["redis:6379"]), "--bind", "127.0.0.1"])
    wait_for(lambda: answers(f"{urls['object-store:9000']}/healthz", 200), lambda: cluster.log("object-store"))

    item_ids = write_tiny_policy(tmp_path / "policy")
    write_catalog(tmp_path / "catalog", item_ids)
    # The store answers a moment before it has made its bucket.
    wait_for(
        lambda: publish(cluster, tmp_path / "policy", "s3://gream/policies/champion"),
        lambda: cluster.log("object-store"),
    )
    assert publish(cluster, tmp_path / "catalog", "s3://gream/catalogs/current")

    assert "9 users" in cluster.run("CronJob", "features")
    engine_process = cluster.start("Deployment", "engine", ["--port", engine.rpartition(":")[2]])
    (tmp_path / "sitecustomize.py").write_text(NOT_IN_THE_API_IMAGE)
    api_process = cluster.start("StatefulSet", "api", ["--port", api.rpartition(":")[2]], PYTHONPATH=str(tmp_path))
    wait_for(lambda: answers(f"{engine}/readyz", 200), lambda: cluster.log("engine"))
    wait_for(lambda: answers(f"{api}/readyz", 200), lambda: cluster.log("api"))

    ask = {"user_id": "user-4", "k": 3}
    answer = httpx.post(f"{api}/recommend", json=ask, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["degraded"] is False
    assert len({item["item_id"] for item in answer.json()["items"]} - set(item_ids[4:7])) == 3
    history = httpx.get(f"{api}/users/user-4/history", timeout=60).json()
    assert [entry["item_id"] for entry in history["entries"]] == item_ids[4:7]

    cluster.stop(engine_process)
    gone = httpx.post(f"{api}/recommend", json=ask, timeout=60)
    assert (gone.status_code, gone.json()["code"]) == (503, "engine_not_ready")
    wait_for(lambda: answers(f"{api}/readyz", 503), lambda: cluster.log("api"))
    assert answers(f"{api}/livez", 200)

    cluster.stop(api_process)
    keys = {name: cluster.secret("object-store", name.replace("_", "")) for name in ("access_key", "secret_key")}
    store = Bucket("gream", StoreSettings(endpoint=urls["object-store:9000"], **keys))
    (evidence,) = store.sizes("evidence/requests")
    assert evidence.endswith(".parquet")
