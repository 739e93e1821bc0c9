"""The compiled training pipeline: what the KFP UI will show and run."""

import subprocess
import sys

import pytest
import yaml
from google.protobuf import json_format

from pipelines.cluster import Cluster
from pipelines.compile import compile_pipeline
from pipelines.pods import PODS
from pipelines.training import training_pipeline

pytestmark = pytest.mark.unit

FLOW = {
    "shares": set(),
    "ingest": set(),
    "loop of enrich-share": {"ingest", "shares"},
    "enrich": {"ingest", "loop of enrich-share"},
    "loop of encode-share": {"ingest", "enrich", "shares"},
    "index": {"ingest", "enrich", "loop of encode-share"},
    "corpora": {"ingest", "enrich", "index"},
    "sft": {"ingest", "index", "corpora"},
    "srpo": {"corpora", "sft"},
    "evaluate": {"ingest", "sft", "srpo"},
    "report": {"sft", "srpo", "evaluate"},
}


@pytest.fixture(scope="module")
def local():
    return json_format.MessageToDict(training_pipeline.pipeline_spec)


@pytest.fixture(scope="module")
def cluster(compiled):
    return compiled(Cluster())


def flow(spec, dag):
    """What each task waits for. KFP numbers loops as it likes; here they are called after what they repeat."""

    def called(task):
        if not task.startswith("for-loop"):
            return task
        (repeated,) = spec["components"][dag["tasks"][task]["componentRef"]["name"]]["dag"]["tasks"]
        return f"loop of {repeated}"

    return {called(name): set(map(called, task.get("dependentTasks", []))) for name, task in dag["tasks"].items()}


def test_order_of_the_data_flow(local):
    assert flow(local, local["root"]["dag"]) == FLOW


def test_loops_go_over_the_shares_that_a_run_asks_for(local):
    loops = [task for name, task in local["root"]["dag"]["tasks"].items() if name.startswith("for-loop")]
    for task in loops:
        source = task["inputs"]["parameters"][task["parameterIterator"]["items"]["inputParameter"]]
        assert source["taskOutputParameter"]["producerTask"] == "shares"
    (count,) = local["root"]["dag"]["tasks"]["shares"]["inputs"]["parameters"].values()
    assert count == {"componentInputParameter": "shares"}


def test_one_machine_takes_one_share_after_the_other_so_that_a_failed_one_is_heard(local):
    loops = [task for name, task in local["root"]["dag"]["tasks"].items() if name.startswith("for-loop")]
    assert [task["iteratorPolicy"]["parallelismLimit"] for task in loops] == [1, 1]


def test_cluster_runs_the_steps_of_this_machine_and_an_exit_handler(local, cluster):
    executors = {component.get("executorLabel") for component in local["components"].values()} - {None}
    assert set(cluster.steps) == {name.removeprefix("exec-") for name in executors} | {"tidy"}
    root = cluster.spec["root"]["dag"]["tasks"]
    assert set(root) == {"exit-handler-1", "tidy"}
    assert root["tidy"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert flow(cluster.spec, cluster.spec["components"]["comp-exit-handler-1"]["dag"]) == FLOW


def test_every_parameter_of_the_form_is_typed_described_and_has_a_default(cluster):
    form = cluster.spec["root"]["inputDefinitions"]["parameters"]
    assert {name: field["parameterType"] for name, field in form.items()} == {
        "data": "STRING",
        "profile": "STRING",
        "overrides": "LIST",
        "seed": "NUMBER_INTEGER",
        "seen_items": "STRING",
        "shares": "NUMBER_INTEGER",
        "workspace": "STRING",
    }
    assert all(len(field["description"]) > 20 and "defaultValue" in field for field in form.values())


def test_every_input_of_every_step_is_described(cluster):
    for name, component in cluster.spec["components"].items():
        if "executorLabel" not in component:
            continue
        definitions = component["inputDefinitions"]
        for inputs in (definitions["parameters"], definitions.get("artifacts", {})):
            undescribed = [key for key, field in inputs.items() if not field.get("description")]
            assert [key for key in undescribed if inputs[key].get("parameterType") != "TASK_FINAL_STATUS"] == [], name


def test_kfp_caches_pure_functions_of_numbers_only(cluster):
    cached = {name for name, task in cluster.steps.items() if task["cachingOptions"].get("enableCache", False)}
    assert cached == {"shares"}
    assert "artifacts" not in cluster.spec["components"]["comp-shares"]["inputDefinitions"]


def test_nothing_is_installed_at_run_time(cluster):
    for step in cluster.steps:
        assert "pip install" not in " ".join(cluster.container(step)["command"])


def test_outputs_are_what_a_run_leaves(local):
    outputs = local["root"]["outputDefinitions"]["artifacts"]
    assert {name: output["artifactType"]["schemaTitle"] for name, output in outputs.items()} == {
        "policy": "system.Model",
        "catalog": "system.Dataset",
        "report": "system.HTML",
        "metrics": "system.Metrics",
    }


def test_compiling_leaves_one_file_and_writes_the_same_again(tmp_path):
    for name in ("one", "two"):
        compile_pipeline("training", Cluster(), tmp_path / name / "training.yaml")
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["training.yaml"]
    one, two = ((tmp_path / name / "training.yaml").read_text() for name in ("one", "two"))
    assert one == two
    assert len(list(yaml.safe_load_all(one))) == 2


def test_components_import_nothing_heavy_at_the_top():
    """What a component needs is imported in its body, inside its own image."""
    modules = ", ".join(f"components.{step.replace('-', '_')}.component" for step in PODS)
    code = (
        f"import sys, {modules}\n"
        "heavy = {'torch', 'transformers', 'trl', 'polars', 'datasets', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy | {name for name in sys.modules if name.startswith('gream.')}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
