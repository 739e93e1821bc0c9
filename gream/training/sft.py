"""Supervised fine-tuning over a planned sequence of batches (paper, section 3.2), on TRL's `SFTTrainer`.

The curriculum is an order of batches, so the trainer must keep it: it takes batches by plan instead of shuffling. What
is left to the library: optimiser, schedule, checkpoints, mixed precision, distribution, and the loss of large batches.

1) Examples arrive tokenised with labels; nothing is truncated (a too long example is an error when it is encoded).
2) `seqrec` examples are windows of sequences with a loss at every item. Of a sequence of up to
   `corpus.history_window` + 1 items that is the paper's objective, one example for each prefix, without computing each
   prefix again. The windows of a longer one do not overlap: each begins with no history, and the first items in it are
   predicted from fewer than a prefix would show.
3) Resuming is exact: order, optimiser, schedule and random state come from the last complete checkpoint.
4) Several processes take the plan's batches in turn: one step is theirs together, so n processes train like one with n
   times the accumulation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset
from trl import SFTConfig as TrlSftConfig
from trl import SFTTrainer

from gream.config import SftConfig
from gream.policy.prompting import IGNORED, EncodedExample, Ids
from gream.training.checkpoints import AfterCheckpoint, last_complete_checkpoint
from gream.training.precision import widen
from gream.training.processes import on_one_device, process_count, process_number, trainer_arguments

WIDTH_STEP = 16
"""Batches are padded to a multiple of this: oneDNN keeps compiled kernels for each width it meets, and with every width
between 20 and 160 that grows by a gigabyte in a hundred steps."""
DENSE_LOGITS = 2**26
"""Logits (tokens x vocabulary) up to which a batch's loss is taken on all of them at once."""


class PlannedBatches(Sampler[list[int]]):
    """Row numbers of each batch, in the order of the plan; of several processes, each takes every so many-th batch.

    All take equally many: where the plan does not divide, it goes on from its beginning.
    """

    def __init__(self, sizes: Sequence[int], process: int = 0, processes: int = 1) -> None:
        starts = np.cumsum([0, *sizes])
        plan = [list(range(start, start + size)) for start, size in zip(starts.tolist(), sizes, strict=False)]
        self._batches = [plan[place % len(plan)] for place in range(process, _whole(len(plan), processes), processes)]
        self.batch_size = max(sizes)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def _whole(batches: int, processes: int) -> int:
    """Batches rounded up to a multiple of the processes."""
    return -(-batches // processes) * processes


class Rows(TorchDataset[dict[str, Ids]]):
    """Examples as a collator takes them, none copied: what comes in every pass is there once."""

    def __init__(self, examples: Sequence[EncodedExample]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place: int) -> dict[str, Ids]:
        example = self._examples[place]
        return {"input_ids": example.input_ids, "labels": example.labels}


class CurriculumTrainer(SFTTrainer):
    """`SFTTrainer` that takes its batches by plan, and small batches' loss without chunks."""

    def __init__(self, *, batches: Sequence[Sequence[EncodedExample]], **arguments: Any) -> None:
        rows = Rows([example for batch in batches for example in batch])
        self._plan = PlannedBatches([len(batch) for batch in batches], process_number(), process_count())
        # TRL insists on a data set of the library's, which copies what it is given, and looks at its first row.
        super().__init__(train_dataset=Dataset.from_list([rows[0]]), **arguments)
        self.train_dataset = rows

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Batches in the order of the plan."""
        loader: DataLoader[Any] = DataLoader(
            self.train_dataset, batch_sampler=self._plan, collate_fn=self.data_collator
        )
        # Shared out already: left to itself, accelerate drops what does not come in batches of one size.
        return prepare_data_loader(
            loader, self.accelerator.device, num_processes=1, process_index=0, put_on_device=True
        )

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Mean cross-entropy of the labelled tokens.

        TRL never builds the logits, but computes them chunk by chunk in float32 and again in the backward pass. That
        saves memory where a vocabulary is large, and costs 40% of the time of a step where the model is small.
        """
        if return_outputs or inputs["input_ids"].numel() * self.model.config.vocab_size > DENSE_LOGITS:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        # No attention mask: padding stands on the right, where a causal model's labelled tokens never look, and without
        # a mask the fused kernel skips half of the work.
        logits = model(input_ids=inputs["input_ids"], use_cache=False).logits[:, :-1]
        taken = labels != IGNORED
        loss = cross_entropy(logits[taken].float(), labels[taken], reduction="sum")
        count = taken.sum() if num_items_in_batch is None else num_items_in_batch / self.accelerator.num_processes
        return loss / count


def pad_right(pad_id: int, rows: Sequence[Mapping[str, Ids]]) -> dict[str, Tensor]:
    """Rows of `input_ids` and `labels` as (B, L) tensors with an attention mask, L in steps of `WIDTH_STEP`."""
    longest = max(len(row["input_ids"]) for row in rows)
    shape = len(rows), -(-longest // WIDTH_STEP) * WIDTH_STEP
    ids, labels, mask = np.full(shape, pad_id), np.full(shape, IGNORED), np.zeros(shape, dtype=np.int64)
    for place, row in enumerate(rows):
        taken = slice(len(row["input_ids"]))
        ids[place, taken], labels[place, taken], mask[place, taken] = row["input_ids"], row["labels"], 1
    padded = {"input_ids": ids, "labels": labels, "attention_mask": mask}
    return {name: torch.from_numpy(values) for name, values in padded.items()}


def train_sft(
    model: Any,
    tokenizer: Any,
    batches: Sequence[Sequence[EncodedExample]],
    config: SftConfig,
    checkpoints: Path,
    seed: int,
    on_checkpoint: Callable[[], None] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place, continuing from the last complete checkpoint in `checkpoints` if there is one.

    Args:
        model: a causal LM, or a PEFT model around one.
        tokenizer: its tokenizer; only the padding token is used.
        batches: the plan, in training order; one pass is made over it.
        config: hyper-parameters. `batch_size` has been applied already, in the plan.
        checkpoints: folder for checkpoints; kept, so that the caller decides when a run is done.
        seed: of dropout.
        on_checkpoint: called each time that a checkpoint has been written.

    Returns:
        What the trainer logged: `step`, `loss`, `learning_rate`, ... for every `log_steps` steps.
    """
    arguments = TrlSftConfig(
        output_dir=str(checkpoints),
        dataset_kwargs={"skip_prepare_dataset": True},
        # Only for schedules and logs: the plan makes the batches.
        per_device_train_batch_size=max(len(batch) for batch in batches),
        gradient_accumulation_steps=config.gradient_accumulation,
        num_train_epochs=1,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=config.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=config.gradient_checkpointing,
        seed=seed,
        data_seed=seed,
        save_steps=config.checkpoint_steps,
        logging_steps=config.log_steps,
        report_to="none",
        disable_tqdm=False,
        **trainer_arguments(config.sharding),
    )
    trainer = CurriculumTrainer(
        batches=batches,
        model=model,
        processing_class=tokenizer,
        args=on_one_device(arguments),
        data_collator=lambda rows: pad_right(tokenizer.pad_token_id, rows),
        callbacks=[AfterCheckpoint(on_checkpoint)],
    )
    widen(model)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(checkpoints))
    return [entry for entry in trainer.state.log_history if "loss" in entry]
