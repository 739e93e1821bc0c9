"""The compiled experiment: what its branches share is made by the first of them."""

import pytest

from pipelines.cluster import Cluster

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("cluster", "at_once"), [(Cluster(), 1), (Cluster(gpus=4, at_once=3), 3)])
def test_branches_run_one_after_the_other_unless_more_are_asked_for(compiled, cluster, at_once):
    spec = compiled(cluster, "experiment").spec
    dags = [spec["root"]["dag"], *(part["dag"] for part in spec["components"].values() if "dag" in part)]
    (loop,) = (task for dag in dags for name, task in dag["tasks"].items() if name.startswith("for-loop"))
    assert loop["iteratorPolicy"] == {"parallelismLimit": at_once}
