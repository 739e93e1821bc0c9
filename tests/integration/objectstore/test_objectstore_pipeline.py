"""The whole pipeline with its artifacts in a real S3 server: a machine is lost, another goes on and publishes."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from gream.artifacts import content_digest, open_artifact
from gream.objectstore import artifact_version, fetch_artifact, publish_artifact
from gream.stages import STAGES
from gream.stages.store import open_run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

PROFILE = """
name = "tiny"
[data]
k_core = 0
[index]
levels = 2
codebook_size = 8
collaborative_weight = 1.0
[corpus]
history_window = 6
seqrec_passes = 2
itemsearch_samples = 10
reasoning_samples = 40
reasoning_window = 4
rl_prompts = 20
[model]
hidden_size = 32
layers = 1
heads = 2
intermediate_size = 64
vocabulary = 400
[sft]
learning_rate = 3e-3
batch_size = 16
max_tokens = 512
checkpoint_steps = 5
[srpo]
steps = 2
prompts_per_step = 2
updates_per_step = 1
group_size = 5
learning_rate = 1e-4
warmup_steps = 1
max_chain_tokens = 32
max_generation_rounds = 1
checkpoint_steps = 1
[evaluation]
beams = 20
chains = 5
max_chain_tokens = 32
bootstrap_resamples = 20
sasrec_epochs = 1
"""


@pytest.fixture
def published_catalog(bucket, tmp_path):
    """URI of the catalog of 30 users who walk along 40 items."""
    from gream.stages import ingest

    rng = random.Random(0)
    shop = tmp_path / "shop"
    shop.mkdir()
    items = [f"i{n},Oak {['lamp', 'chair', 'sofa'][n % 3]} {n},{['lamp', 'chair', 'sofa'][n % 3]}" for n in range(40)]
    events = []
    for user in range(30):
        place = rng.randrange(40)
        for second in range(rng.randrange(6, 10)):
            events.append(f"u{user},i{place},{1_000_000_000 + second}")
            place = (place + rng.choice([1, 1, 1, 2])) % 40
    (shop / "items.csv").write_text("\n".join(["item_id,title,categories", *items]) + "\n")
    (shop / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    context = open_run("laptop", ["data.k_core=0"], 0, str(tmp_path / "preparation"))
    uri = f"s3://{bucket}/catalogs/shop"
    publish_artifact(ingest.run(str(shop), "as-dataset", context), uri)
    return uri


def start(machine, profile, data, publish):
    command = [
        *(sys.executable, "-c", "from gream.cli import main; main()", "run", "--data", data, "--profile", str(profile)),
        *("--workspace", str(machine / "workspace"), "--out", str(machine), "--publish", publish),
    ]
    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_a_lost_machines_run_goes_on_elsewhere_and_is_published(bucket, tmp_path, published_catalog, keys, monkeypatch):
    monkeypatch.setenv("GREAM_WORKSPACE_REMOTE", f"s3://{bucket}/workspaces/tiny")
    profile, target = tmp_path / "tiny.toml", f"s3://{bucket}/shops/tiny"
    profile.write_text(PROFILE)
    lost = start(tmp_path / "a", profile, published_catalog, target)
    while not any("/sft/" in key and ".work/current.json" in key for key in keys()):
        assert lost.poll() is None, lost.communicate()[0]
        time.sleep(0.05)
    os.killpg(lost.pid, signal.SIGKILL)
    lost.communicate()

    second = start(tmp_path / "b", profile, published_catalog, target)
    output, _ = second.communicate()
    assert second.returncode == 0, output
    for place, stage in enumerate(STAGES[:4], start=1):
        assert f"[{place}/8 {stage}] done already, fetched from the mirror" in output
    assert "[5/8 sft] continued" in output

    run = (tmp_path / "b" / "latest").resolve()
    version = content_digest(run / "policy")
    assert artifact_version(f"{target}/policy") == version
    assert output.rstrip().endswith(f"{target}/policy@{version}")
    open_artifact(fetch_artifact(f"{target}/policy", tmp_path / "serving"), "policy")
    open_artifact(fetch_artifact(f"{target}/catalog", tmp_path / "serving"), "catalog")
    assert {key for key in keys() if key.startswith("shops/tiny/reports/")} == {
        f"shops/tiny/reports/{version}/{name}" for name in ("report.html", "metrics.json")
    }
    assert not any(".work/" in key for key in keys())
    assert json.loads((run / "metrics.json").read_text())["seconds"].keys() == set(STAGES) - {"report"}


def test_a_run_that_could_not_be_published_does_not_start(bucket, tmp_path):
    process = start(tmp_path, "laptop", "movielens-100k", "s3://no-such-bucket/shops/tiny")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "has no bucket 'no-such-bucket'" in output
    assert "started" not in output
