import pytest
from training_shop import run_of, write_shop

from gream.stages import corpora, enrich, index, ingest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(shop, tmp_path_factory):
    """Workspace, catalog, index and corpus."""
    workspace = tmp_path_factory.mktemp("workspace")
    context = run_of(workspace)
    catalog = ingest.run(str(shop), "as-dataset", context)
    profiles = enrich.run(catalog, context)
    semantic_index = index.run(catalog, profiles, context)
    return workspace, catalog, semantic_index, corpora.run(catalog, profiles, semantic_index, context)
