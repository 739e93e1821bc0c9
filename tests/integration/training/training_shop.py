"""A made-up shop, and settings under which its whole training takes seconds."""

import random
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from gream.stages.store import open_run

TINY = [
    *("data.k_core=0", "index.levels=2", "index.codebook_size=8", "index.collaborative_weight=0"),
    *("corpus.history_window=6", "corpus.seqrec_passes=2", "corpus.itemsearch_samples=20"),
    *("corpus.reasoning_samples=20", "corpus.reasoning_window=4", "corpus.rl_prompts=30"),
    *(
        "model.hidden_size=32",
        "model.layers=1",
        "model.heads=1",
        "model.intermediate_size=64",
    ),  # vLLM wants heads of 32.
    *("model.vocabulary=300", "model.dropout=0", "search.transition_prior=false"),
    *("sft.batch_tokens=256", "sft.precision=float32", "sft.log_steps=1", "sft.checkpoint_steps=3"),
    *("srpo.steps=2", "srpo.prompts_per_step=4", "srpo.updates_per_step=2", "srpo.group_size=5"),
    *("srpo.max_chain_tokens=16", "srpo.max_generation_rounds=2", "srpo.checkpoint_steps=1"),
]


def write_shop(folder: Path) -> None:
    rng = random.Random(0)
    items = [f"i{n},{['Oak', 'Steel'][n % 2]} {['lamp', 'chair', 'sofa'][n % 3]} {n}" for n in range(16)]
    events = [f"u{user},i{rng.randrange(16)},{1_000 + step}" for user in range(14) for step in range(9)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *items]) + "\n")
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *events]) + "\n")


def run_of(workspace: Path, *settings: str):
    return open_run("laptop", [*TINY, *settings], seed=0, workspace=str(workspace))


def weights(policy: Path) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(policy)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
