"""Every overlay renders to manifests that the cluster's own schemas, and those of the operators, take."""

import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from k8s_objects import name, of_kind

pytestmark = pytest.mark.unit

KUBERNETES = "1.36"


def group(thing):
    return thing["apiVersion"].rpartition("/")[0]


def test_there_is_something_of_every_part(objects, shape):
    workloads = {
        thing["metadata"]["name"] for thing in objects if thing["kind"] in ("Deployment", "StatefulSet", "CronJob")
    }
    assert workloads >= {"api", "engine", "redis", "evidently", "drift-monitor", "features"}
    assert ("object-store" in workloads) == ("a store outside" not in shape)
    kinds = {thing["kind"] for thing in objects}
    assert "NetworkPolicy" in kinds
    served = ["api", "engine", *(["api-canary", "engine-canary"] if "canary" in shape else [])]
    bounds = {name(thing) for thing in of_kind(objects, "PodDisruptionBudget", "HorizontalPodAutoscaler")}
    assert bounds == {"HorizontalPodAutoscaler/api", *(f"PodDisruptionBudget/{part}" for part in served)}
    if shape.startswith("gpu"):
        assert kinds >= {"FeatureStore", "ServiceMonitor", "PrometheusRule"}
        assert "Secret" not in kinds
    else:
        assert "feast" in workloads
        assert "Secret" in kinds


def test_built_in_kinds_fit_their_schemas(objects):
    checked = 0
    for thing in objects:
        try:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)
            checked += 1
        except kubernetes_validate.SchemaNotFoundError:
            assert "." in group(thing), f"{thing['kind']} is not a custom resource"
    assert checked > 30


def test_custom_resources_fit_their_definitions(rendered, objects, shape, repository):
    if not any("." in group(thing) and not group(thing).endswith(".k8s.io") for thing in objects):
        assert shape.startswith("kind")
        return
    shared = repository.parent / "shared"
    checker = shared / "tools" / "crdcheck.py"
    if not checker.is_file():
        pytest.skip("the custom resource definitions are not here: put crds/ and tools/crdcheck.py into ../shared")
    command = [sys.executable, checker, str(shared / "crds" / "*.yaml"), rendered]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_secrets_are_made_for_a_laptop_alone(repository):
    makers = []
    for file in (repository / "k8s").rglob("*.yaml"):
        text = file.read_text()
        assert "kind: Secret\n" not in text, file
        if "secretGenerator:" in text:
            makers.append(file.relative_to(repository).as_posix())
    assert makers == ["k8s/overlays/kind/kustomization.yaml"]


def test_nothing_is_fetched_to_render(repository):
    for file in (repository / "k8s").rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(file.read_text())
        named = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        assert all((file.parent / one).exists() for one in named), f"{file} names something remote"
