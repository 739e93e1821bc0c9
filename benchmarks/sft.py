"""SFT on whole sequences beside TRL's `SFTTrainer` on a sample for each prefix, as the research code trains.

    python -m benchmarks.sft [--rounds 5] [--peer-steps 400] [--passes 2]

MovieLens-100K, the laptop profile's model from scratch, the same initial weights. The peer has its own defaults but for
the learning rate, and samples drawn from all prefixes, each once; `gream` has the laptop profile's settings but for
learning rate and batch. Both are judged by one function: the mean cross-entropy of the index tokens of held-out items,
in float32. The seconds are those until it is as low as it was when the peer had taken all of its steps, on a straight
line between two judgements, which are not counted; either schedule ends with its own training.

The floor is 6 FLOP for each parameter and token, padding left out, at the rate of a large bfloat16 matrix product.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory

import click
import torch
from trl import SFTConfig

from benchmarks.command import Benchmark
from benchmarks.machine import DEVICE, name, product_rate
from benchmarks.ratio import NoComparisonError, Ratio
from benchmarks.sft_runs import Run, as_examples, peer_trainer, quiet, run_gream, run_peer
from benchmarks.sft_task import Task, movielens, prefix_samples, validation_loss
from gream.policy.model import build_backbone
from gream.training.sft import CurriculumTrainer, pad_right

PEER_RATE = 2e-3
"""The best for the peer of 5e-4, 1e-3, 2e-3 and 3e-3, by its validation loss after 350 steps."""
RATE, BATCH_TOKENS = 3e-3, 704
"""Of 1.5e-3 and 3e-3 with 2,816 (the profile's), 1,408 and 704 tokens the ones that came to a validation loss of 4.95
after the fewest tokens, from a seed that no round has."""
ROUNDS, PEER_STEPS, PASSES = 5, 400, 2
LOSS_TOLERANCE = 1e-5
"""Relative difference of the losses of one batch, in float32."""


@dataclass(frozen=True)
class Round:
    """Both trainings from the weights of one seed."""

    peer: Run
    gream: Run

    @property
    def level(self) -> float:
        """The validation loss that the peer ended with."""
        return self.peer.losses[-1]

    @property
    def seconds_ratio(self) -> float:
        """How many times as soon gream is at the level."""
        return self.peer.seconds_to(self.level) / self.gream.seconds_to(self.level)

    @property
    def tokens_ratio(self) -> float:
        """How many times as many tokens carry loss in a second."""
        return self.gream.loss_tokens_per_second / self.peer.loss_tokens_per_second


def measure(task: Task, rounds: int, peer_steps: int, passes: int) -> Iterator[Round]:
    """One round for each seed from 0; the peer is judged ten times, gream every tenth step."""
    for seed in range(rounds):
        peer = run_peer(task, peer_steps, PEER_RATE, seed, every=peer_steps // 10)
        yield Round(peer, run_gream(task, passes, RATE, BATCH_TOKENS, seed, every=10, until=peer.losses[-1]))


def loss_of_one_batch(task: Task) -> tuple[float, float]:
    """What the peer's trainer, gream's and the judge call the loss of eight samples, with untrained weights: the peer's
    figure, and how far the others lie from it, as a share of it.

    Raises:
        NoComparisonError: further than `LOSS_TOLERANCE`.
    """
    tokenizer = task.prompter.tokenizer
    models = [build_backbone(task.profile.model, tokenizer, seed=0).eval() for _ in range(3)]
    with quiet(), TemporaryDirectory() as folder, torch.no_grad():
        peer = peer_trainer(task, models[0], prefix_samples(task, 8, seed=0), PEER_RATE, seed=0)
        examples = as_examples(peer.train_dataset)
        gream = CurriculumTrainer(
            batches=[examples],
            model=models[1],
            processing_class=tokenizer,
            args=SFTConfig(
                folder, use_cpu=DEVICE == "cpu", report_to="none", dataset_kwargs={"skip_prepare_dataset": True}
            ),
            data_collator=lambda rows: pad_right(tokenizer.pad_token_id, rows),
        )
        peer_loss, gream_loss = (
            float(trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader()))))
            for trainer in (peer, gream)
        )
    losses = (gream_loss, validation_loss(models[2], examples))
    furthest = max(abs(loss - peer_loss) for loss in losses) / peer_loss
    if not furthest < LOSS_TOLERANCE:
        raise NoComparisonError(f"the same samples have a loss of {peer_loss} for the peer, of {losses} for us.")
    return peer_loss, furthest


def floor_tokens_per_second(task: Task) -> float:
    """Tokens that this machine could train on if all their time went into matrix products."""
    model = build_backbone(task.profile.model, task.prompter.tokenizer, seed=0)
    parameters: int = sum(weight.numel() for weight in model.parameters())
    return product_rate(torch.bfloat16) / (6 * parameters)


def ratios() -> list[Ratio]:
    """The default run; raises what `loss_of_one_batch` does."""
    with quiet():
        task = movielens()
    loss_of_one_batch(task)
    return summary(list(measure(task, ROUNDS, PEER_STEPS, PASSES)))


def summary(rounds: list[Round]) -> list[Ratio]:
    """Medians of the rounds, and their spread."""
    soon, many = [one.seconds_ratio for one in rounds], [one.tokens_ratio for one in rounds]
    seconds = [(one.gream.seconds_to(one.level), one.peer.seconds_to(one.level)) for one in rounds]
    detail = "; ".join(
        f"{ours:.1f} s against {theirs:.1f} s to a validation loss of {one.level:.3f}"
        for one, (ours, theirs) in zip(rounds, seconds, strict=True)
    )
    tokens = "; ".join(
        f"{one.gream.loss_tokens_per_second:.0f} against {one.peer.loss_tokens_per_second:.0f}" for one in rounds
    )
    return [
        Ratio("SFT: time to equal validation loss", median(soon), min(soon), max(soon), detail),
        Ratio("SFT: tokens with loss a second", median(many), min(many), max(many), tokens),
    ]


@click.command(cls=Benchmark, help=__doc__)
@click.option("--rounds", default=ROUNDS, show_default=True, help="Of both trainings, each from other weights.")
@click.option(
    "--peer-steps", type=click.IntRange(min=10), default=PEER_STEPS, show_default=True, help="Of eight samples."
)
@click.option("--passes", default=PASSES, show_default=True, help="Over all sequences, for gream.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the laptop's profile: another model, say, for both.",
)
def main(rounds: int, peer_steps: int, passes: int, overrides: tuple[str, ...]) -> None:
    with quiet():
        task = movielens(overrides)
    loss, furthest = loss_of_one_batch(task)
    click.echo(f"{name()}; the same eight samples have a loss of {loss:.5f} for the peer,")
    click.echo(f"gream and the judge; they differ by {furthest:.0e} of it at most (allowed: {LOSS_TOLERANCE:.0e})\n")

    floor = floor_tokens_per_second(task)
    click.echo(
        "seed            steps  seconds  final loss  to equal loss  loss tokens/s  items/s  tokens/s  padding  floor"
    )
    done = []
    for seed, one in enumerate(measure(task, rounds, peer_steps, passes)):
        done.append(one)
        for who, run in (("TRL", one.peer), ("gream", one.gream)):
            rate = run.tokens / run.seconds[-1]
            click.echo(
                f"{seed:>4}  {who:<8}{run.steps:>7}{run.seconds[-1]:>9.1f}{run.losses[-1]:>12.3f}"
                f"{run.seconds_to(one.level):>15.1f}{run.loss_tokens_per_second:>15.0f}{run.targets_per_second:>9.0f}"
                f"{rate:>10.0f}{1 - run.tokens / run.padded:>9.1%}{floor / rate:>7.1f}"
            )
    click.echo("\nfloor: how many times as many tokens a second matrix products alone would allow")
    for ratio in summary(done):
        click.echo(f"{ratio.name}: {ratio.ratio:.1f} times the peer ({ratio.low:.1f} to {ratio.high:.1f})")


if __name__ == "__main__":
    main()
