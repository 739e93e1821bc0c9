"""The compiled retraining pipeline: what the KFP UI will show and run."""

import pytest
from google.protobuf import json_format

from pipelines.cluster import Cluster
from pipelines.retraining import retraining_pipeline

pytestmark = pytest.mark.unit

RETRAIN = {
    "update-index": set(),
    "corpora": {"update-index"},
    "sft": {"update-index", "corpora"},
    "srpo": {"corpora", "sft"},
    "gate": {"srpo"},
    "promote": {"srpo", "gate"},
}
INDEX_NEW_ITEMS = {"extend": set(), "gate-2": {"extend"}, "promote-2": {"extend", "gate-2"}}


@pytest.fixture(scope="module")
def local():
    return json_format.MessageToDict(retraining_pipeline.pipeline_spec)


@pytest.fixture(scope="module")
def cluster(compiled):
    return compiled(Cluster(), "retraining")


def branches(spec, dag):
    """What comes before the branches, and each branch by its condition: what every task waits for."""
    (name,) = [task for task in dag["tasks"] if task.startswith("condition-branches")]
    forks = spec["components"][dag["tasks"][name]["componentRef"]["name"]]["dag"]["tasks"]
    before = {task: set(entry.get("dependentTasks", [])) for task, entry in dag["tasks"].items() if task != name}
    inside = {
        fork["triggerPolicy"]["condition"]: {
            task: set(entry.get("dependentTasks", []))
            for task, entry in spec["components"][fork["componentRef"]["name"]]["dag"]["tasks"].items()
        }
        for fork in forks.values()
    }
    return before, inside


def check_flow(spec, dag):
    before, inside = branches(spec, dag)
    assert before == {"champion": set(), "refresh": {"champion"}, "enrich-share": {"refresh"}}
    condition = "inputs.parameter_values['pipelinechannel--action'] == 'retrain'"
    assert inside == {condition: RETRAIN, f"!({condition})": INDEX_NEW_ITEMS}


def test_order_of_the_data_flow_here_and_on_a_cluster(local, cluster):
    check_flow(local, local["root"]["dag"])
    root = cluster.spec["root"]["dag"]["tasks"]
    assert set(root) == {"exit-handler-1", "tidy"}
    check_flow(cluster.spec, cluster.spec["components"]["comp-exit-handler-1"]["dag"])


def test_form_is_typed_described_and_has_defaults_for_a_run_by_hand(cluster):
    form = cluster.spec["root"]["inputDefinitions"]["parameters"]
    assert {name: field["parameterType"] for name, field in form.items()} == {
        "champion": "STRING",
        "data": "STRING",
        "evidence": "STRING",
        "until": "NUMBER_INTEGER",
        "hold_out_since": "NUMBER_INTEGER",
        "action": "STRING",
        "decision": "STRING",
        "decisions": "STRING",
        "canary": "STRING",
        "items": "STRING",
        "profile": "STRING",
        "overrides": "LIST",
        "seed": "NUMBER_INTEGER",
        "workspace": "STRING",
    }
    assert all(len(field["description"]) > 20 for field in form.values())
    needed = {"champion", "data", "evidence", "until", "hold_out_since"}
    assert {name for name, field in form.items() if "defaultValue" not in field} == needed
    assert form["action"]["defaultValue"] == "retrain"


def test_every_input_of_every_step_is_described(cluster):
    for name, component in cluster.spec["components"].items():
        if "executorLabel" not in component:
            continue
        definitions = component["inputDefinitions"]
        for inputs in (definitions["parameters"], definitions.get("artifacts", {})):
            undescribed = [key for key, field in inputs.items() if not field.get("description")]
            assert [key for key in undescribed if inputs[key].get("parameterType") != "TASK_FINAL_STATUS"] == [], name


def test_kfp_answers_for_no_step_from_its_cache(cluster):
    assert not any(task["cachingOptions"].get("enableCache", False) for task in cluster.steps.values())


def test_whoever_trains_gets_the_champion_and_whoever_promotes_the_verdict(cluster):
    for step in ("update-index", "corpora", "sft", "srpo", "gate", "extend", "gate-2"):
        assert "champion" in cluster.steps[step]["inputs"]["artifacts"], step
    for step in ("promote", "promote-2"):
        assert set(cluster.steps[step]["inputs"]["artifacts"]) == {"challenger", "verdict"}


def test_several_nodes_train_as_trainjobs(compiled):
    steps = set(compiled(Cluster(gpus=1, nodes=2), "retraining").steps)
    assert {"sft-job", "srpo-job"} < steps
    assert not {"sft", "srpo"} & steps


def test_outputs_say_how_it_ended_whatever_was_done(local):
    outputs = local["root"]["outputDefinitions"]["parameters"]
    assert set(outputs) == {"result", "text", "gate"}
    (name,) = [task for task in local["root"]["dag"]["tasks"] if task.startswith("condition-branches")]
    given = local["components"][f"comp-{name}"]["dag"]["outputs"]["parameters"].values()
    assert all(len(one["valueFromOneof"]["parameterSelectors"]) == 2 for one in given)
