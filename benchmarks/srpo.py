"""A step of SRPO beside a step of TRL's own `GRPOTrainer`: same policy, prompts, group size, lengths and optimiser.

    python -m benchmarks.srpo --policy runs/latest/policy

A step is 16 prompts with 8 chains and answers each, and two updates of 64 completions with the KL to the policy before.
Loss, clipping and KL are TRL's in both, and both keep activations where TRL by itself would compute them twice. What
differs: GREAM reads a prompt once for its group, samples the answer along the trie of items, remembers
log-probabilities from sampling, and leaves out of the update what has no advantage, since all rewards of its group are
equal. TRL lets `generate` write freely up to the same length and scores the text, whatever it names, and all of it goes
through the model, if only for the gradient of the KL term. Dynamic sampling is off here, so that both do the same
number of rollouts: it would make GREAM's steps longer and each of its groups worth something.

A training of one step is taken off one of several, so that loading and the first step's warm-up do not count.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import torch
from datasets import Dataset
from torch.utils.flop_counter import FlopCounterMode
from trl import GRPOConfig, GRPOTrainer

from benchmarks.command import Benchmark
from benchmarks.machine import DEVICE, PRODUCT, product_rate
from benchmarks.ratio import Ratio
from benchmarks.sft_runs import quiet
from benchmarks.timing import timed
from gream import columns
from gream.config import SrpoConfig
from gream.data.catalog import Catalog
from gream.indexing.tokens import TOKEN_PATTERN
from gream.policy.policy import Policy
from gream.policy.prompting import Prompter
from gream.profile_files import load_profile
from gream.training.rewards import residual_reward
from gream.training.rollouts import Task, TransformersSampler
from gream.training.srpo import train_srpo

STEPS: Final = 3
"""Counted steps of a round."""
ANSWER_OPEN: Final = "<answer>"


def settings(steps: int) -> SrpoConfig:
    """The laptop's, in reasoning mode alone and without dynamic sampling."""
    change = {"steps": steps, "reasoning_share": 1.0, "max_generation_rounds": 1, "warmup_steps": 0}
    return load_profile("laptop").srpo.model_copy(update=change)


def tasks_of(policy: Policy, folder: Path) -> list[Task]:
    """Each user's last film after those before it, as item numbers."""
    sequences = Catalog.load(folder.resolve().parent / "catalog").sequences().values()
    return [
        Task(before, target, reasoning=True)
        for *before, target in (policy.numbers(items).tolist() for items in sequences)
    ]


def srpo_seconds(folder: Path, steps: int) -> float:
    """Seconds of so many steps of GREAM's trainer."""
    policy, config = Policy.load(folder), settings(steps)
    index = policy.index.encode(policy.items[columns.ITEM].to_list())
    sampler = TransformersSampler(
        policy.trie, index, policy.prompter, config.group_size, config.temperature, config.max_chain_tokens
    )
    tasks = tasks_of(policy, folder)
    policy.model.train()
    with tempfile.TemporaryDirectory() as scratch:
        return timed(lambda: train_srpo(policy.model, policy.tokenizer, sampler, tasks, config, Path(scratch), seed=0))[
            1
        ]


def grpo_seconds(folder: Path, steps: int) -> float:
    """Seconds of so many steps of TRL's trainer."""
    policy, config = Policy.load(folder), settings(steps)
    index = policy.index.encode(policy.items[columns.ITEM].to_list())
    tasks = tasks_of(policy, folder)
    prompts = policy.prompter.reasoning([["".join(index[item]) for item in task.history] for task in tasks])
    rows = [
        {"prompt": policy.prompter.decode(prompt), "target": list(index[task.target])}
        for prompt, task in zip(prompts, tasks, strict=True)
    ]
    longest = config.max_chain_tokens + len(policy.prompter.answer_ids) + policy.trie.depth
    with tempfile.TemporaryDirectory() as scratch:
        arguments = GRPOConfig(
            output_dir=scratch,
            per_device_train_batch_size=config.mini_batch,
            steps_per_generation=config.updates_per_step,
            num_generations=config.group_size,
            max_completion_length=longest,
            max_steps=steps * config.updates_per_step,
            temperature=config.temperature,
            learning_rate=config.learning_rate,
            beta=config.kl_coefficient,
            loss_type="bnpo",
            gradient_checkpointing=config.gradient_checkpointing,
            bf16=False,
            use_cpu=DEVICE == "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=0,
        )
        trainer = GRPOTrainer(
            model=policy.model,
            reward_funcs=Rewarded(policy.prompter),
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=policy.tokenizer,
        )
        return timed(trainer.train)[1]


class Rewarded:
    """The residual reward of the index tokens behind the answer's tag; 0 where there are none."""

    __name__ = "residual_reward"
    """What TRL calls it in its log."""

    def __init__(self, prompter: Prompter) -> None:
        self._prompter = prompter

    def __call__(self, completion_ids: Sequence[list[int]], target: Sequence[list[str]], **_: Any) -> list[float]:
        # From the ids: in the text that TRL hands over, index tokens are left out.
        texts = [self._prompter.decode(ids) for ids in completion_ids]
        answers = [[token[0] for token in TOKEN_PATTERN.finditer(text.partition(ANSWER_OPEN)[2])] for text in texts]
        return [residual_reward(answer, true) for answer, true in zip(answers, target, strict=True)]


def floor_seconds(folder: Path) -> float:
    """What a step of GREAM's would take if its matrix products, as torch counts them, had the rate of a large one."""

    def counted(steps: int) -> int:
        with FlopCounterMode(display=False) as counter:
            srpo_seconds(folder, steps)
        flops: int = counter.get_total_flops()
        return flops

    return (counted(1 + STEPS) - counted(1)) / STEPS / product_rate(torch.float32)


def ratios(folder: Path = Path("runs/latest/policy"), rounds: int = 2) -> list[Ratio]:
    """Seconds of a step, GREAM's and TRL's."""
    ours = [(srpo_seconds(folder, 1 + STEPS) - srpo_seconds(folder, 1)) / STEPS for _ in range(rounds)]
    theirs = [(grpo_seconds(folder, 1 + STEPS) - grpo_seconds(folder, 1)) / STEPS for _ in range(rounds)]
    config = settings(1)
    rollouts = config.prompts_per_step * config.group_size
    detail = (
        f"{rollouts} rollouts and {config.updates_per_step} updates take {min(ours):.1f} s and {min(theirs):.1f} s: "
        f"{rollouts / min(ours):.0f} and {rollouts / min(theirs):.0f} rollouts/s"
    )
    return [Ratio.of_rounds("a step of SRPO beside one of TRL's GRPOTrainer", ours, theirs, detail)]


@click.command(cls=Benchmark, help=__doc__)
@click.option("--policy", default="runs/latest/policy", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=2, show_default=True)
def main(policy: Path, rounds: int) -> None:
    with quiet():
        (ratio,) = ratios(policy, rounds)
        floor = floor_seconds(policy)
    click.echo(f"{ratio.name}: {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f}). {ratio.detail}")
    click.echo(f"The matrix products of gream's step at the rate of one of {PRODUCT:,} x {PRODUCT:,}: {floor:.2f} s.")


if __name__ == "__main__":
    main()
