"""The closed loop's second half on one machine: a decision, fresh feedback, a challenger, the gate, the pointer."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from gream.artifacts import content_digest
from gream.monitoring.decision_log import DecisionLog
from gream.monitoring.entries import Decision, Outcome
from gream.monitoring.evidence import FEEDBACK_SCHEMA
from gream.monitoring.judgement import WindowReport
from gream.promotion.champion import install, open_champion
from gream.promotion.verdict import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
START = 20_000 * 86_400
HOUR = 3_600
DAY = 24 * HOUR
N_ITEMS, USERS = 60, 80
KINDS, MATERIALS = ["lamp", "chair", "table", "sofa", "shelf"], ["Oak", "Steel", "Glass", "Linen"]

PROFILE = """
name = "tiny"
[data]
k_core = 0
[index]
levels = 2
codebook_size = 16
encoder_batch = 16
collaborative_weight = 1.0
[corpus]
history_window = 10
seqrec_passes = 4
itemsearch_samples = 20
reasoning_samples = 40
reasoning_window = 5
rl_prompts = 10
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
checkpoint_steps = 10
[srpo]
steps = 0
[search]
transition_prior = true
[retrain]
replay_share = 0.5
seqrec_passes = 4
learning_rate = 2e-3
[evaluation]
beams = 60
chains = 2
max_chain_tokens = 24
bootstrap_resamples = 100
sasrec_epochs = 0
"""


def title(n):
    return f"{MATERIALS[n % 4]} {KINDS[n % 5]} {n}"


def walk(rng, place, steps, stride):
    for _ in range(steps):
        yield place
        place = (place + rng.choice([stride, stride, stride, 1])) % N_ITEMS


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Users who walk along the items one by one; a day ago everybody began to take every seventh."""
    folder = tmp_path_factory.mktemp("shop")
    rng = random.Random(0)
    (folder / "tables").mkdir()
    items = [f"i{n},{title(n)},{KINDS[n % 5]}|{MATERIALS[n % 4]}" for n in range(N_ITEMS)]
    events, feedback = [], []
    for user in range(USERS):
        places = list(walk(rng, rng.randrange(N_ITEMS), rng.randrange(8, 15), 1))
        events += [f"u{user},i{place},{START - 900 + second}" for second, place in enumerate(places)]
        for turn, place in enumerate(walk(rng, places[-1], 10, 7)):
            # The last three steps are of the last hour, which is held out.
            at = START + user + 60 * turn + (23 * HOUR if turn > 6 else 0)
            feedback.append((f"e{user}-{turn}", f"u{user}", f"i{place}", "click", at, None, at))
    (folder / "tables" / "items.csv").write_text("\n".join(["item_id,title,categories", *items]) + "\n")
    (folder / "tables" / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")
    write_feedback(folder / "evidence", feedback)
    (folder / "tiny.toml").write_text(PROFILE)
    return folder


def write_feedback(folder, rows):
    frame = pl.DataFrame(rows, schema=FEEDBACK_SCHEMA, orient="row")
    for hour, part in frame.group_by(pl.col("received") // HOUR):
        start = datetime.fromtimestamp(hour[0] * HOUR, UTC)
        target = folder / "feedback" / f"date={start:%Y-%m-%d}" / f"hour={start:%H}"
        target.mkdir(parents=True, exist_ok=True)
        part.write_parquet(target / "part-1-1.parquet")


@pytest.fixture(scope="module")
def first_champion(shop, tmp_path_factory):
    """A folder with a trained `policy` and the `catalog` that it was trained on."""
    home = tmp_path_factory.mktemp("training")
    for command, name in ((["train", "sft"], "policy"), (["data"], "catalog")):
        data = ["--data", str(shop / "tables"), "--seed", "3", "--out", str(home / name)]
        finish(start([*command, *data], shop, home / "workspace"))
    return home


def start(command, shop, workspace):
    program = [sys.executable, "-c", "from gream.cli import main; main()"]
    options = ["--profile", str(shop / "tiny.toml"), "--workspace", str(workspace)]
    return subprocess.Popen(
        [*program, *command, *options],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
    )


def finish(process):
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def decided(home, champion, action):
    """A champion with a decision about it; the place, the record, and the decision's id."""
    place, log = home / "champion", home / "decisions.jsonl"
    version = install(open_champion(str(place)), champion / "policy").version
    report = WindowReport(
        start=START,
        end=START + DAY,
        policy_version=version,
        requests=900,
        users=USERS,
        results=(),
        counts=(),
        missing=(),
        skipped=(),
    )
    decision = Decision(id="d1", at=START + DAY, action=action, reasons=("The test says so.",), report=report)
    DecisionLog(str(log)).append(decision)
    return place, log


def retrain(home, shop, champion, *more):
    places = ["--champion", str(home / "champion"), "--data", str(champion / "catalog")]
    window = ["--evidence", str(shop / "evidence"), "--until", str(START + DAY), "--hold-out-hours", "1"]
    order = ["--decision", "d1", "--decisions", str(home / "decisions.jsonl"), "--seed", "5"]
    command = ["retrain", *places, *window, *order, "--out", str(home / "runs"), *more]
    return start(command, shop, home / "workspace")


def outcomes(log):
    return [entry for entry in DecisionLog(str(log)).entries() if isinstance(entry, Outcome)]


def check_end(home, output):
    """The pointer, the record, the verdict and what was printed agree; the outcome."""
    (outcome,) = outcomes(home / "decisions.jsonl")
    verdict = Verdict.load(home / "runs" / "latest" / "verdict.json")
    states = list(open_champion(str(home / "champion")).history())
    assert (outcome.result in ("promoted", "indexed")) == verdict.accepted
    assert [state.digest for state in states] == [*([verdict.challenger] if verdict.accepted else []), verdict.champion]
    assert f"{outcome.result}: {outcome.text}" in output
    assert {file.name for file in (home / "runs" / "latest").iterdir()} == {"verdict.json", "verdict.html", "run.log"}
    return outcome, verdict


def kill_when(process, workspace, pattern):
    while not any(workspace.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_retraining_learns_what_is_new_and_ends_once_in_spite_of_kills(shop, first_champion, tmp_path):
    decided(tmp_path, first_champion, "retrain")
    workspace = tmp_path / "workspace"
    kill_when(
        retrain(tmp_path, shop, first_champion),
        workspace,
        "sft/*.work/checkpoints/checkpoint-*/trainer_state.json",
    )
    assert outcomes(tmp_path / "decisions.jsonl") == []
    output = finish(retrain(tmp_path, shop, first_champion))
    assert "[refresh] done already, reused" in output
    assert "[5/8 sft] continued" in output
    assert "[gate] done in" in output
    assert "indexed anew" not in output

    outcome, verdict = check_end(tmp_path, output)
    checks = {check.name: check for check in verdict.checks}
    assert verdict.hold_out_users == USERS
    assert checks["all users"].difference.low > 0, checks["all users"].text
    assert {checks[name].state for name in ("legal items", "index audit", "leak check", "cold users")} == {"passed"}

    # A run that was killed between its last two steps: the pointer moved, the record does not say so yet.
    log = tmp_path / "decisions.jsonl"
    log.write_text("".join(line for line in log.read_text().splitlines(keepends=True) if '"outcome"' not in line))
    again = finish(retrain(tmp_path, shop, first_champion))
    assert again.count("done already, reused") == 9
    assert check_end(tmp_path, again)[0].result == outcome.result
    (policy,) = [path for path in (workspace / "srpo").iterdir() if path.is_dir()]
    assert content_digest(policy) == verdict.challenger


def test_new_items_are_indexed_without_training(shop, first_champion, tmp_path):
    decided(tmp_path, first_champion, "index_new_items")
    (tmp_path / "new.csv").write_text(
        "item_id,title,categories\nnew0,Velvet lamp 100,lamp\nnew1,Velvet sofa 101,sofa\n"
    )
    output = finish(
        retrain(tmp_path, shop, first_champion, "--action", "index_new_items", "--items", str(tmp_path / "new.csv"))
    )
    assert "sft" not in output
    _, verdict = check_end(tmp_path, output)
    (policy,) = [path for path in (tmp_path / "workspace" / "extend").iterdir() if path.is_dir()]
    assert content_digest(policy) == verdict.challenger
    assert pl.read_parquet(policy / "items.parquet")["item_id"].to_list()[-2:] == ["new0", "new1"]
    old = (first_champion / "policy" / "manifest.json").read_text()
    same = json.loads((policy / "manifest.json").read_text())["files"]["model.safetensors"]
    assert json.loads(old)["files"]["model.safetensors"] == same


def test_a_failure_is_one_sentence_and_moves_nothing(shop, first_champion, tmp_path):
    decided(tmp_path, first_champion, "retrain")
    process = retrain(tmp_path, shop, first_champion, "--items", str(Path("no-such-table.csv")))
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "Error: step 'refresh' failed: " in output
    assert "no-such-table.csv" in output
    assert outcomes(tmp_path / "decisions.jsonl") == []
    assert len(list(open_champion(str(tmp_path / "champion")).history())) == 1
