"""Names that other people's scripts import, and which way dependencies point."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
OUTWARD = {"kfp", "kubernetes", "bentoml", "feast", "components", "pipelines", "serving", "feature_repo"}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("gream.training.rewards", ["residual_reward"]),
        ("gream.training.advantages", ["pass_at_k_bonus", "group_advantage"]),
        ("gream.indexing", ["BalancedResidualKMeans", "SemanticIndex"]),
        ("gream.policy", ["Policy"]),
        ("gream.objectstore", ["publish_artifact", "fetch_artifact", "artifact_version", "Pointer"]),
        ("gream.evaluation.metrics", ["recall_at_k", "ndcg_at_k", "pass_at_k", "bootstrap_interval"]),
    ],
)
def test_stable_names(module, names):
    door = importlib.import_module(module)
    assert [name for name in names if not hasattr(door, name)] == []


def test_importing_gream_is_light():
    code = "import gream, gream.cli, sys; print(sorted({'torch', 'transformers', 'polars', 'kfp'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_gream_imports_nothing_outward():
    found = []
    for file in sorted((ROOT / "gream").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            found += [(file.name, module) for module in modules if module.split(".")[0] in OUTWARD]
    assert found == []
