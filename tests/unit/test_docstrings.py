"""The examples in the docstrings hold."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gream", "components", "pipelines", "serving", "feature_repo")
EXAMPLE = re.compile(r"^ *>>> ", re.MULTILINE)
FILES = [
    file.relative_to(ROOT)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if EXAMPLE.search(file.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_example_of_a_file_is_run_and_holds(file):
    parts = file.with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    written = len(EXAMPLE.findall((ROOT / file).read_text(encoding="utf-8")))
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=written)
