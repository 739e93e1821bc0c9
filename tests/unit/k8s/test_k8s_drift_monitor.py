"""What the drift monitor on a cluster is told: the profile of its retrainings, and the settings of its judgement."""

import re

import pytest
from k8s_objects import maps, of_kind, pods, settings

from gream.monitoring.settings import MonitoringSettings
from gream.profile_files import load_profile
from pipelines.monitor.commands import monitor

pytestmark = pytest.mark.unit


@pytest.fixture
def variables():
    """Of the command."""
    return {option.envvar for option in monitor.params}


def test_retrainings_are_of_the_size_that_the_cluster_trains(objects, shape, variables):
    profile = settings(objects)["GREAM_PROFILE"]
    assert profile == ("paper" if shape.startswith("gpu") else "laptop")
    assert load_profile(profile, [])
    assert {"GREAM_PROFILE", "GREAM_OVERRIDES"} <= variables


def test_its_settings_are_a_file_that_is_mounted(objects, variables, tmp_path):
    (pod,) = [pod for pod in pods(objects) if pod.owner == "CronJob/drift-monitor"]
    told = {one["name"]: one.get("value") for one in pod.containers[0]["env"]}
    (mount,) = [one for one in pod.containers[0]["volumeMounts"] if one["name"] == "monitoring"]
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == "monitoring"]
    held = maps(objects)["monitoring"]
    assert volume["configMap"]["name"] == held["metadata"]["name"]
    assert told["GREAM_MONITORING"] == f"{mount['mountPath']}/monitoring.toml"
    assert "GREAM_MONITORING" in variables
    file = tmp_path / "monitoring.toml"
    file.write_text(held["data"]["monitoring.toml"])
    assert MonitoringSettings.load(file) == MonitoringSettings()


def test_the_evidence_of_its_cache_outlives_a_job_and_catalogs_do_not(objects):
    (pod,) = [pod for pod in pods(objects) if pod.owner == "CronJob/drift-monitor"]
    (cache,) = [one["value"] for one in pod.containers[0]["env"] if one["name"] == "GREAM_CACHE"]
    mounts = {one["mountPath"]: one["name"] for one in pod.containers[0]["volumeMounts"]}
    volumes = {one["name"]: one for one in pod.spec["volumes"]}
    claimed = volumes[mounts[f"{cache}/evidence"]]["persistentVolumeClaim"]["claimName"]
    assert volumes[mounts[cache]]["emptyDir"] == {}
    assert claimed in {one["metadata"]["name"] for one in of_kind(objects, "PersistentVolumeClaim")}
    (schedule,) = [one["spec"] for one in of_kind(objects, "CronJob") if one["metadata"]["name"] == "drift-monitor"]
    assert schedule["concurrencyPolicy"] == "Forbid"  # One node at a time may have the volume, and one pull the folder.


def test_an_overlay_changes_both_as_the_page_says(with_the_pages_lines):
    file = {"monitoring.toml": "match_seconds = 3600\n"}
    objects = with_the_pages_lines("kind", "configMapGenerator", file)
    told = settings(objects)
    assert load_profile(told["GREAM_PROFILE"], told["GREAM_OVERRIDES"].split())
    assert told["GREAM_CHAMPION"] == "s3://gream/policies/champion"
    assert maps(objects)["monitoring"]["data"] == file


def test_the_first_aid_reaches_its_places(objects, shape, repository):
    page = (repository / "docs" / "monitoring.md").read_text().partition("## First aid\n")[2].partition("\n## ")[0]
    block = page.partition("```sh\n")[2].partition("```")[0]
    told = settings(objects)
    assert f"LOG={told['GREAM_DECISIONS']} CHAMPION={told['GREAM_CHAMPION']}\n" in block
    services = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): {str(port["port"]) for port in one["spec"]["ports"]}
        for one in of_kind(objects, "Service")
    }
    for namespace, service, port in re.findall(r"kubectl -n (\S+) port-forward service/(\S+) \d+:(\d+)", page):
        if service == "object-store" and told["GREAM_S3_ENDPOINT"].startswith("https:"):
            continue  # A store outside.
        assert port in services[namespace, service]
    if shape.startswith("kind"):
        (wanted,) = re.findall(r"get secret (\S+)", block)
        (secret,) = [one for one in of_kind(objects, "Secret") if one["metadata"]["name"] == wanted]
        assert set(re.findall(r"\$\(key (\w+)\)", block)) == secret["data"].keys()


def test_with_a_canary_it_has_the_disk_for_a_policy_that_the_engines_have(objects, shape):
    (monitor_pod,) = [pod for pod in pods(objects) if pod.owner == "CronJob/drift-monitor"]
    disk = gibibytes(monitor_pod, "limits")
    if "canary" in shape:
        engines = [pod for pod in pods(objects) if pod.owner.startswith("Deployment/engine")]
        assert disk >= max(gibibytes(engine, "limits") for engine in engines)
        assert gibibytes(monitor_pod, "requests") > 7.5, "4B in bfloat16"
    else:
        assert disk == 8


def gibibytes(pod, bound):
    (container,) = pod.containers
    return int(container["resources"][bound]["ephemeral-storage"].removesuffix("Gi"))
