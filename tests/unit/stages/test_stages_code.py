"""Whatever source decides an output is named by the stage that makes it: what is changed is made anew."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import gream
from gream.stages import EVERY_STAGE, measured

pytestmark = pytest.mark.unit

PACKAGE = Path(gream.__file__).parent
CODE = {f"stages/{stage}.py": import_module(f"gream.stages.{stage}").CODE for stage in EVERY_STAGE}
DECIDED_BY_IMPORTS = {
    # What the champion's stage fetches has its digest among the settings.
    **{root: code for root, code in CODE.items() if root != "stages/champion.py"},
    # `stages/measured.py` imports what the recipes of two kinds of output run: each has to name its own.
    "evaluation/baseline_evaluation.py": measured.CODE_OF_BASELINES,
    "evaluation/policy_evaluation.py": measured.CODE_OF_POLICIES,
    "policy/policy.py": measured.CODE_OF_POLICIES,
}
NOT_NAMED = (
    # How outputs are kept and work is handed out.
    *("artifacts.py", "config.py", "documents.py", "errors.py", "locks.py", "objectstore", "share.py"),
    *("stages/launch.py", "stages/mirror.py", "stages/shares.py", "stages/store.py"),
    # What comes out of them is a setting or an input of the stage, or changes one: names of columns and files, whether
    # a start is warm, what was pulled and measured.
    *("columns.py", "monitoring/feedback_store.py", "stages/enrich.py", "stages/measured.py", "stages/warm_start.py"),
    # How inputs are read, of which the content counts.
    *("corpora/build.py", "corpora/example.py", "corpora/rl.py", "data/held_out.py", "enrichment/profiles.py"),
    *("policy/bundle.py", "policy/transition_prior.py"),
    # Of which a stage that does not name them imports a type or a helper, and runs no rule.
    *("corpora/checks.py", "corpora/items.py", "data/filtering.py", "data/movielens.py", "evaluation/results.py"),
    *("indexing/item_space.py", "indexing/residual_kmeans.py", "monitoring/durable.py"),
)
"""What no stage has to name, though it imports it. Where one does name it, what that imports counts too."""


def is_among(module, places):
    return any(module == place or module.startswith(f"{place}/") for place in places)


def file_of(name):
    """The file of a module or package of `gream`, relative to it; None where the name is of something inside one."""
    place = PACKAGE.joinpath(*name.split(".")[1:])
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((str(file.relative_to(PACKAGE)) for file in files if file.is_file()), None)


def imported(node):
    """Files of `gream` that source imports anywhere, but for its types alone."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (file_of(alias.name) for alias in node.names if alias.name.startswith("gream."))
    if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "gream":
        yield from (file_of(f"{node.module}.{alias.name}") or file_of(node.module) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imported(child)


@pytest.mark.parametrize("root", CODE)
def test_each_stage_names_source_that_exists(root):
    """A mistyped entry would silently take no code into the fingerprint."""
    assert [part for part in CODE[root] if not (PACKAGE / part).exists()] == []


@pytest.mark.parametrize("root", DECIDED_BY_IMPORTS)
def test_each_stage_names_what_it_imports_directly_or_by_what_it_names(root):
    code = (root, *DECIDED_BY_IMPORTS[root])
    found, unnamed = [root], set()
    for module in found:
        for other in set(imported(ast.parse((PACKAGE / module).read_text(encoding="utf-8")))).difference(found):
            if is_among(other, code):
                found.append(other)
            elif not is_among(other, NOT_NAMED):
                unnamed.add(other)
    assert sorted(unnamed) == []


def test_enrichment_is_done_again_where_the_split_changes_since_it_decides_which_reviews_are_read():
    assert "data/split.py" in CODE["stages/enrich.py"]
