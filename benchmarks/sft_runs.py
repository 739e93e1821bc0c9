"""One training of each side of the SFT benchmark, watched from outside: when it had done how much, and how well."""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from benchmarks.machine import DEVICE
from benchmarks.sft_task import Task, held_out, prefix_samples, sequence_batches, validation_loss
from benchmarks.timing import settle
from gream.policy.model import build_backbone
from gream.policy.prompting import IGNORED, EncodedExample
from gream.training.sft import train_sft

JUDGED_USERS = 150
PEER_BATCH = 8
"""`SFTTrainer`'s default."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the trainers' bars and logs."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


@dataclass(frozen=True)
class Run:
    """What one training did.

    Attributes:
        seconds: (p,) from the first step's beginning, those of judging left out; the last is the end.
        losses: (p,) validation losses at these times.
        steps: of the optimiser.
        loss_tokens: tokens that carried loss.
        targets: items that were to be predicted.
        tokens: all tokens, without padding.
        padded: the same with it.
    """

    seconds: list[float]
    losses: list[float]
    steps: int
    loss_tokens: int
    targets: int
    tokens: int
    padded: int

    @property
    def loss_tokens_per_second(self) -> float:
        return self.loss_tokens / self.seconds[-1]

    @property
    def targets_per_second(self) -> float:
        return self.targets / self.seconds[-1]

    def seconds_to(self, loss: float) -> float:
        """Until the validation loss was first as low as this, on a straight line between two judgements.

        Raises:
            ValueError: it never was.
        """
        for (since, before), (at, after) in pairwise(zip(self.seconds, self.losses, strict=True)):
            if after <= loss:
                return since + (at - since) * max(before - loss, 0.0) / (before - after)
        raise ValueError(f"the validation loss never fell to {loss:.3f}, but to {min(self.losses):.3f} at best.")


class ReachedError(Exception):
    """The validation loss is where the training was to bring it."""


class Watch:
    """A hook before a model's forward pass, with which either trainer begins a step: it stops the clock every so many
    steps and judges a copy, in float32, because the trainers put their model's own forward pass in mixed precision.

    Attributes:
        steps: that were begun.
        padded: tokens in them, with padding.
    """

    def __init__(self, task: Task, model: Any, every: int, until: float = 0.0) -> None:
        """Args:
        task: has the held-out items.
        model: that is going to be trained.
        every: steps between two judgements.
        until: validation loss at which `ReachedError` ends the training.
        """
        self._examples = held_out(task, JUDGED_USERS)
        self._judge = build_backbone(task.profile.model, task.prompter.tokenizer, seed=0).eval().to(DEVICE)
        self._model, self._every, self._until = model, every, until
        self._started = self._elapsed = self._judging = 0.0
        self.steps = self.padded = 0
        self.seconds: list[float] = []
        self.losses: list[float] = []
        model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, _: Any, __: Any, inputs: dict[str, Any]) -> None:
        judging = self.steps % self._every == 0
        if judging:
            settle()
        now = time.perf_counter()
        self._started = self._started or now
        self._elapsed = now - self._started - self._judging
        if judging:
            self._judged(self._elapsed)
            if self.losses[-1] <= self._until:
                raise ReachedError
            self._judging += time.perf_counter() - now
        self.steps += 1
        self.padded += inputs["input_ids"].numel()

    def finish(self) -> None:
        """Judge what has been trained to its end; the last step, which no other follows, counts as an average one."""
        self._judged(self._elapsed * self.steps / (self.steps - 1))

    def run(self, examples: Sequence[EncodedExample], first_level: frozenset[int]) -> Run:
        """The training, which took these examples in its steps."""
        labels = [label for example in examples for label in example.labels if label != IGNORED]
        return Run(
            self.seconds,
            self.losses,
            self.steps,
            loss_tokens=len(labels),
            targets=sum(label in first_level for label in labels),
            tokens=sum(len(example.input_ids) for example in examples),
            padded=self.padded,
        )

    def _judged(self, at: float) -> None:
        self._judge.load_state_dict(self._model.state_dict())
        self.seconds.append(at)
        self.losses.append(validation_loss(self._judge, self._examples))


def peer_trainer(task: Task, model: Any, samples: Sequence[dict[str, str]], rate: float, seed: int) -> Any:
    """TRL's `SFTTrainer` as it comes, for one pass over `samples`, with another learning rate: its default of 2e-5 is
    for pretrained weights, and teaches a model from scratch next to nothing in minutes."""
    with TemporaryDirectory() as folder:
        arguments = SFTConfig(
            folder,
            num_train_epochs=1,
            learning_rate=rate,
            seed=seed,
            use_cpu=DEVICE == "cpu",
            report_to="none",
            save_strategy="no",
        )
    data = Dataset.from_list(list(samples))
    return SFTTrainer(model, arguments, train_dataset=data, processing_class=task.prompter.tokenizer)


def run_peer(task: Task, steps: int, rate: float, seed: int, every: int) -> Run:
    """The peer on samples of single prefixes; making a data set of them is not counted."""
    model = build_backbone(task.profile.model, task.prompter.tokenizer, seed)
    with quiet():
        samples = prefix_samples(task, steps * PEER_BATCH, seed)
        trainer = peer_trainer(task, model, samples, rate, seed)
        watch = Watch(task, model, every)
        trainer.train()
    watch.finish()
    return watch.run(as_examples(trainer.train_dataset), task.first_level)


def run_gream(task: Task, passes: int, rate: float, batch_tokens: int, seed: int, every: int, until: float) -> Run:
    """GREAM's own path on whole sequences, until the validation loss is as low.

    Args:
        task: what is learned; its profile says the rest.
        passes: over all sequences; the learning rate falls over them, whether all are needed or not.
        rate: learning rate at its highest.
        batch_tokens: of a step, with padding.
        seed: of weights, cuts and order.
        every: steps between two judgements.
        until: see `Watch`.
    """
    model = build_backbone(task.profile.model, task.prompter.tokenizer, seed)
    with quiet(), TemporaryDirectory() as folder:
        batches = sequence_batches(task, passes, batch_tokens, seed)
        config = task.profile.sft.model_copy(update={"checkpoint_steps": len(batches), "learning_rate": rate})
        watch = Watch(task, model, every, until)
        with suppress(ReachedError):
            train_sft(model, task.prompter.tokenizer, batches, config, Path(folder), seed)
            watch.finish()
    return watch.run([example for batch in batches[: watch.steps] for example in batch], task.first_level)


def as_examples(rows: Any) -> list[EncodedExample]:
    """The rows of a data set that TRL has prepared."""
    return [EncodedExample(*row) for row in zip(rows["input_ids"], rows["labels"], strict=True)]
