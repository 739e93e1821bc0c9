"""A run that is killed goes on when it is started again, and ends with the numbers of a run that was left alone."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gream.artifacts import content_digest, open_artifact
from gream.stages import STAGES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
"""Of every run here: the last bits of a matrix product depend on how many threads share it."""
SHARES = 2
"""In which items are enriched and encoded."""
MEASURED = 4
"""Apart, for the evaluation: the baselines, both policies, and the last one without its prior."""

PROFILE = """
name = "tiny"
[data]
k_core = 0
[index]
levels = 2
codebook_size = 8
encoder_batch = 16
collaborative_weight = 1.0
[corpus]
history_window = 10
seqrec_passes = 10
itemsearch_samples = 50
reasoning_samples = 200
reasoning_window = 5
rl_prompts = 100
[model]
hidden_size = 32
layers = 1
heads = 2
intermediate_size = 64
vocabulary = 400
dropout = 0.1
[sft]
learning_rate = 3e-3
batch_size = 16
max_tokens = 512
checkpoint_steps = 20
[srpo]
steps = 4
prompts_per_step = 4
updates_per_step = 2
group_size = 5
learning_rate = 1e-4
warmup_steps = 1
max_chain_tokens = 48
max_generation_rounds = 2
checkpoint_steps = 1
[search]
transition_prior = true
[evaluation]
beams = 60
chains = 5
max_chain_tokens = 48
bootstrap_resamples = 100
sasrec_epochs = 1
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """80 users walk along 60 items, mostly to the next one."""
    folder = tmp_path_factory.mktemp("shop")
    rng = random.Random(0)
    kinds, materials = ["lamp", "chair", "table", "sofa", "shelf"], ["Oak", "Steel", "Glass", "Linen"]
    items = [f"i{n},{materials[n % 4]} {kinds[n % 5]} {n},{kinds[n % 5]}|{materials[n % 4]}" for n in range(60)]
    events = []
    for user in range(80):
        place = rng.randrange(60)
        for second in range(rng.randrange(6, 15)):
            events.append(f"u{user},i{place},{1_000_000_000 + second}")
            place = (place + rng.choice([1, 1, 1, 2, 7])) % 60
    (folder / "items.csv").write_text("\n".join(["item_id,title,categories", *items]) + "\n")
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "tiny.toml"
    path.write_text(PROFILE)
    return path


def gream(command: str, data: Path, profile: Path, home: Path) -> list[str]:
    return [
        *(sys.executable, "-c", "from gream.cli import main; main()", command, "--data", str(data)),
        *("--profile", str(profile), "--seed", "3", "--workspace", str(home / "workspace")),
    ]


def start(data: Path, profile: Path, home: Path) -> subprocess.Popen[str]:
    command = [*gream("run", data, profile, home), "--shares", str(SHARES), "--out", str(home)]
    return subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def finish(shop: Path, profile: Path, home: Path) -> tuple[Path, str]:
    process = start(shop, profile, home)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return (home / "latest").resolve(), output


def kill_when(process: subprocess.Popen[str], workspace: Path, pattern: str) -> None:
    """Kill the whole process group, as a lost machine would, once a file that matches `pattern` exists."""
    while not any(workspace.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def numbers(run: Path) -> dict[str, object]:
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics.pop("seconds")) == set(STAGES) - {"report"}
    return metrics


@pytest.fixture(scope="module")
def undisturbed(shop, profile, tmp_path_factory):
    home = tmp_path_factory.mktemp("undisturbed")
    return home, *finish(shop, profile, home)


def test_run_leaves_what_it_promises(undisturbed):
    home, run, output = undisturbed
    assert {path.name for path in run.iterdir()} == {"metrics.json", "policy", "catalog", "report.html", "run.log"}
    assert {path.name for path in home.iterdir()} == {"latest", run.name, "workspace"}
    for place, stage in enumerate(STAGES, start=1):
        assert f"[{place}/8 {stage}] started" in output
        assert f"[{place}/8 {stage}] done in" in output
    assert "KFP Executor" not in output
    assert "transitions" in output  # The table at the end.
    open_artifact(run / "policy", "policy")
    open_artifact(run / "catalog", "catalog")
    assert json.loads((run / "metrics.json").read_text())["legal_item_share"] == 1.0


def test_shares_give_what_one_machine_gives(shop, profile, undisturbed, tmp_path):
    subprocess.run(gream("index", shop, profile, tmp_path), env=ENVIRONMENT, check=True)
    for stage in ("enrich", "index"):
        (whole,) = [path for path in (tmp_path / "workspace" / stage).iterdir() if path.is_dir()]
        assert content_digest(undisturbed[0] / "workspace" / stage / whole.name) == content_digest(whole)


def test_second_run_does_nothing_again(shop, profile, undisturbed):
    home, first, _ = undisturbed
    second, output = finish(shop, profile, home)
    assert second != first
    assert output.count("done already, reused") == len(STAGES) + 2 * SHARES + MEASURED
    assert (second / "metrics.json").read_text() == (first / "metrics.json").read_text()


def test_killed_run_ends_like_one_that_was_left_alone(shop, profile, undisturbed, tmp_path):
    workspace = tmp_path / "workspace"
    kill_when(start(shop, profile, tmp_path), workspace, "sft/*.work/checkpoints/checkpoint-*/trainer_state.json")
    assert not (tmp_path / "latest").exists()
    kill_when(start(shop, profile, tmp_path), workspace, "srpo/*.work/checkpoints/checkpoint-*/trainer_state.json")
    run, output = finish(shop, profile, tmp_path)
    assert "[5/8 sft] done already, reused" in output
    assert "[6/8 srpo] continued" in output
    assert numbers(run) == numbers(undisturbed[1])
    assert content_digest(run / "policy") == content_digest(undisturbed[1] / "policy")


def test_an_experiment_makes_once_what_its_variants_share(shop, profile, undisturbed):
    """Here, everything but SRPO without its reward and its bonus, and what is measured of the policy that it makes; the
    run before was the variant without settings."""
    home, run, _ = undisturbed
    variants = ("--variant", "as is:", "--variant", "plain GRPO: srpo.bonus=false srpo.residual_reward=false")
    command = [*gream("experiment", shop, profile, home), *variants, "--out", str(home / "experiments")]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert ended.returncode == 0, ended.stderr
    started = [line.removesuffix(" started") for line in ended.stderr.splitlines() if line.endswith(" started")]
    assert started == [
        "[6/8 srpo]",
        "[7/8 evaluate] SRPO:",
        "[7/8 evaluate] without prior:",
        "[7/8 evaluate]",
    ]
    comparison = json.loads((home / "experiments" / "latest" / "comparison.json").read_text())
    first, second = comparison["variants"]
    assert comparison["seeds"] == [3]
    assert (first["name"], second["name"], first["differences"]) == ("as is", "plain GRPO", {})
    direct = json.loads((run / "metrics.json").read_text())["direct"]
    assert first["values"]["direct recall@10"]["value"] == direct["recall@10"]["value"]
    change = second["values"]["pass@1"]["value"] - first["values"]["pass@1"]["value"]
    assert second["differences"]["pass@1"]["value"] == pytest.approx(change)
    assert "plain GRPO" in (home / "experiments" / "latest" / "comparison.html").read_text()
    assert "pass@10" not in ended.stdout  # Five chains were sampled.
    assert "zero_variance_share" in ended.stdout


def test_failure_is_one_sentence_and_leaves_no_run(profile, tmp_path):
    process = start(tmp_path / "missing", profile, tmp_path)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "Error: step 'ingest' failed: " in output
    assert "is neither a known dataset nor a folder" in output
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["workspace"]
