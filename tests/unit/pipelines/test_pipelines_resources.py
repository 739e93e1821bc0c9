"""A pipeline as Kubernetes resources, against KFP's own schemas where they are at hand."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gream.cli import main
from pipelines.cluster import Cluster
from pipelines.compile import PIPELINES, compile_resources

pytestmark = pytest.mark.unit

SHARED = Path(__file__).resolve().parents[4] / "shared"


def resources(path, cluster, pipeline="training"):
    compile_resources(pipeline, cluster, path)
    return list(yaml.safe_load_all(path.read_text()))


def test_version_is_named_by_what_is_in_it(tmp_path, compiled):
    pipeline, version = resources(tmp_path / "a.yaml", Cluster(gpus=4))
    assert (pipeline["kind"], pipeline["metadata"]["name"]) == ("Pipeline", "gream-training")
    assert pipeline["spec"]["displayName"] == "GREAM training"
    assert version["spec"]["pipelineName"] == "gream-training"
    uploaded = compiled(Cluster(gpus=4))
    assert version["spec"]["pipelineSpec"] == uploaded.spec
    assert version["spec"]["platformSpec"] == {"platforms": {"kubernetes": uploaded.platform}}
    _, same = resources(tmp_path / "b.yaml", Cluster(gpus=4))
    _, other = resources(tmp_path / "c.yaml", Cluster(gpus=8))
    assert version["metadata"]["name"] == same["metadata"]["name"] != other["metadata"]["name"]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_resources_fit_the_schemas_of_kfp(tmp_path, pipeline):
    if not (SHARED / "tools" / "crdcheck.py").is_file():
        pytest.skip("the CRD check is not here: put crdcheck.py and KFP's CRDs into ../shared to run this test")
    path = tmp_path / "pipeline.yaml"
    resources(path, Cluster(gpus=4), pipeline)
    command = [
        sys.executable,
        SHARED / "tools" / "crdcheck.py",
        SHARED / "crds" / "pipelines.kubeflow.org_*.yaml",
        path,
    ]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("OK (") == 2


def test_command_writes_both_for_a_cluster(tmp_path):
    arguments = ["pipelines", "compile", "--out", str(tmp_path), "--gpus", "2", "--claim", "team-a"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    files = [tmp_path / f"{name}{ending}" for name in PIPELINES for ending in (".yaml", ".kubernetes.yaml")]
    assert result.output.splitlines() == list(map(str, files))
    for file in files:
        assert ("resourceCount: '2'" in file.read_text()) == ("monitoring" not in file.name)
        assert ("constant: team-a" in file.read_text()) == ("monitoring" not in file.name)


def test_choices_that_do_not_fit_end_in_one_sentence(tmp_path):
    result = CliRunner().invoke(main, ["pipelines", "compile", "--out", str(tmp_path), "--nodes", "2"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: nodes = 2 needs gpus")
    assert list(tmp_path.iterdir()) == []
