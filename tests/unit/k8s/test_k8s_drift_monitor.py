"""What the drift monitor on a cluster is told: the profile of its retrainings, and the settings of its judgement."""

import re

import pytest
from k8s_objects import of_kind, pods

from gream.monitoring.settings import MonitoringSettings
from gream.profile_files import load_profile
from pipelines.monitor.commands import monitor

pytestmark = pytest.mark.unit


@pytest.fixture
def variables():
    """Of the command."""
    return {option.envvar for option in monitor.params}


def maps(objects):
    """ConfigMaps by their name without the hash of their content."""
    return {re.sub(r"-[a-z0-9]{10}$", "", one["metadata"]["name"]): one for one in of_kind(objects, "ConfigMap")}


def test_retrainings_are_of_the_size_that_the_cluster_trains(objects, shape, variables):
    settings = maps(objects)["settings"]["data"]
    assert settings["GREAM_PROFILE"] == ("paper" if shape.startswith("gpu") else "laptop")
    assert load_profile(settings["GREAM_PROFILE"], [])
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


def test_an_overlay_changes_both_as_the_page_says(with_the_pages_lines):
    file = {"monitoring.toml": "match_seconds = 3600\n"}
    held = maps(with_the_pages_lines("kind", "configMapGenerator", file))
    settings = held["settings"]["data"]
    assert load_profile(settings["GREAM_PROFILE"], settings["GREAM_OVERRIDES"].split())
    assert settings["GREAM_CHAMPION"] == "s3://gream/policies/champion"
    assert held["monitoring"]["data"] == file


def test_the_first_aid_reaches_its_places(objects, repository):
    page = (repository / "docs" / "monitoring.md").read_text().partition("## First aid\n")[2].partition("\n## ")[0]
    block = page.partition("```sh\n")[2].partition("```")[0]
    settings = maps(objects)["settings"]["data"]
    assert f"LOG={settings['GREAM_DECISIONS']} CHAMPION={settings['GREAM_CHAMPION']}\n" in block
    services = {
        (one["metadata"]["namespace"], one["metadata"]["name"]): {str(port["port"]) for port in one["spec"]["ports"]}
        for one in of_kind(objects, "Service")
    }
    for namespace, service, port in re.findall(r"kubectl -n (\S+) port-forward service/(\S+) \d+:(\d+)", page):
        if service == "object-store" and settings["GREAM_S3_ENDPOINT"].startswith("https:"):
            continue  # A store outside.
        assert port in services[namespace, service]
    for secret in of_kind(objects, "Secret"):
        if secret["metadata"]["name"] == "object-store":
            assert set(re.findall(r"\$\(key (\w+)\)", block)) == secret["data"].keys()
