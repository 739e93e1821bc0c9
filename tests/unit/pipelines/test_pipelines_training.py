"""The compiled training pipeline: what the KFP UI will show and run."""

import subprocess
import sys

import pytest
import yaml

from gream.stages import STAGES
from pipelines.compile import compile_pipeline

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "training.yaml"
    compile_pipeline("training", path)
    assert [file.name for file in path.parent.iterdir()] == ["training.yaml"]
    return yaml.safe_load(path.read_text())


def test_one_step_for_each_stage(spec):
    assert set(spec["root"]["dag"]["tasks"]) == set(STAGES)


def test_order_of_the_data_flow(spec):
    needs = {name: set(task.get("dependentTasks", [])) for name, task in spec["root"]["dag"]["tasks"].items()}
    assert needs == {
        "ingest": set(),
        "enrich": {"ingest"},
        "index": {"ingest", "enrich"},
        "corpora": {"ingest", "enrich", "index"},
        "sft": {"ingest", "index", "corpora"},
        "srpo": {"corpora", "sft"},
        "evaluate": {"ingest", "sft", "srpo"},
        "report": {"sft", "srpo", "evaluate"},
    }


def test_every_parameter_of_the_form_is_typed_described_and_has_a_default(spec):
    form = spec["root"]["inputDefinitions"]["parameters"]
    assert {name: field["parameterType"] for name, field in form.items()} == {
        "data": "STRING",
        "profile": "STRING",
        "overrides": "LIST",
        "seed": "NUMBER_INTEGER",
        "seen_items": "STRING",
        "workspace": "STRING",
    }
    assert all(len(field["description"]) > 20 and "defaultValue" in field for field in form.values())


def test_every_input_of_every_step_is_described(spec):
    for name, component in spec["components"].items():
        definitions = component["inputDefinitions"]
        for inputs in (definitions["parameters"], definitions.get("artifacts", {})):
            assert [key for key, field in inputs.items() if not field.get("description")] == [], name


def test_nothing_is_cached_by_kfp_or_installed_at_run_time(spec):
    for name, task in spec["root"]["dag"]["tasks"].items():
        assert task["cachingOptions"].get("enableCache", False) is False, name
    for executor in spec["deploymentSpec"]["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_outputs_are_what_a_run_leaves(spec):
    outputs = spec["root"]["outputDefinitions"]["artifacts"]
    assert {name: output["artifactType"]["schemaTitle"] for name, output in outputs.items()} == {
        "policy": "system.Model",
        "catalog": "system.Dataset",
        "report": "system.HTML",
        "metrics": "system.Metrics",
    }


def test_components_import_nothing_heavy_at_the_top():
    """What a component needs is imported in its body, inside its own image."""
    modules = ", ".join(f"components.{stage}.component" for stage in STAGES)
    code = (
        f"import sys, {modules}\n"
        "heavy = {'torch', 'transformers', 'trl', 'polars', 'datasets', 'numpy'} & set(sys.modules)\n"
        "print(sorted(heavy | {name for name in sys.modules if name.startswith('gream.')}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
