import json
import os

import pytest
import torch

from gream.config import SftConfig
from gream.corpora.example import Example
from gream.training import sft
from gream.training.checkpoints import last_complete_checkpoint

pytestmark = pytest.mark.unit

CONFIG = SftConfig(learning_rate=3e-3, checkpoint_steps=4, log_steps=1, precision="float32")


def batches(toy, count=12):
    """Batches of two: a sequence that repeats one item, and a question about it."""
    plan = []
    for number in range(count):
        index = f"<|a_{number % 2 + 1}|><|b_{number % 4 + 1}|>"
        examples = [Example("seqrec", "Continue the sequence.", index * 3), Example("item2index", "Which?", index)]
        plan.append(toy.prompter.examples(examples))
    return plan


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_trainer_keeps_the_order_of_the_plan(toy, tmp_path):
    plan = batches(toy, 5)
    trainer = sft.CurriculumTrainer(
        batches=plan,
        model=toy.model(),
        processing_class=toy.tokenizer,
        args=sft.TrlSftConfig(
            output_dir=str(tmp_path), report_to="none", bf16=False, dataset_kwargs={"skip_prepare_dataset": True}
        ),
        data_collator=lambda rows: sft.pad_right(toy.tokenizer.pad_token_id, rows),
    )
    for expected, batch in zip(plan, trainer.get_train_dataloader(), strict=True):
        assert [row[: len(e.input_ids)] for row, e in zip(batch["input_ids"].tolist(), expected, strict=True)] == [
            e.input_ids.tolist() for e in expected
        ]


def test_an_example_that_comes_again_and_again_is_not_copied(toy, tmp_path):
    (example,) = toy.prompter.examples([Example("item2index", "Which?", "<|a_1|><|b_1|>")])
    trainer = sft.CurriculumTrainer(
        batches=[[example, example], [example]],
        model=toy.model(),
        processing_class=toy.tokenizer,
        args=sft.TrlSftConfig(
            output_dir=str(tmp_path), report_to="none", bf16=False, dataset_kwargs={"skip_prepare_dataset": True}
        ),
    )
    rows = [trainer.train_dataset[place] for place in range(3)]
    assert all(row["input_ids"] is example.input_ids and row["labels"] is example.labels for row in rows)


def test_the_trainer_is_told_the_settings(toy, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(sft.CurriculumTrainer, "train", lambda self, **_: made.append(self))
    changes = {"warmup_ratio": 0.2, "weight_decay": 0.3, "max_grad_norm": 0.7, "gradient_accumulation": 2}
    config = CONFIG.model_copy(update=changes)
    sft.train_sft(toy.model(), toy.tokenizer, batches(toy, 4), config, tmp_path, seed=3)
    wanted = {
        "num_train_epochs": 1,
        "gradient_accumulation_steps": 2,
        "learning_rate": 3e-3,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.2,
        "weight_decay": 0.3,
        "max_grad_norm": 0.7,
        "save_steps": 4,
        "logging_steps": 1,
        "seed": 3,
    }
    assert {name: getattr(made[0].args, name) for name in wanted} == wanted


def test_padding_carries_neither_loss_nor_attention(toy):
    rows = [{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [8], "labels": [8]}]
    batch = sft.pad_right(0, rows)
    assert {name: tensor.shape for name, tensor in batch.items()} == dict.fromkeys(batch, (2, sft.WIDTH_STEP))
    assert batch["input_ids"][:, :4].tolist() == [[5, 6, 7, 0], [8, 0, 0, 0]]
    assert batch["labels"][:, :4].tolist() == [[-100, 6, 7, -100], [8, -100, -100, -100]]
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 1]


def test_both_ways_to_the_loss_agree(toy, tmp_path, monkeypatch):
    """Small batches take it on all logits, large ones in TRL's chunks; the first two steps tell a wrong scale."""
    dense = sft.train_sft(toy.model(), toy.tokenizer, batches(toy, 2), CONFIG, tmp_path / "dense", seed=0)
    monkeypatch.setattr(sft, "DENSE_LOGITS", 0)
    chunked = sft.train_sft(toy.model(), toy.tokenizer, batches(toy, 2), CONFIG, tmp_path / "chunked", seed=0)
    assert [e["loss"] for e in dense] == pytest.approx([e["loss"] for e in chunked], rel=1e-3)
    assert [e["grad_norm"] for e in dense] == pytest.approx([e["grad_norm"] for e in chunked], rel=1e-3)


def test_loss_falls(toy, tmp_path):
    log = sft.train_sft(toy.model(), toy.tokenizer, batches(toy, 40), CONFIG, tmp_path, seed=0)
    assert [entry["step"] for entry in log] == list(range(1, 41))
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]


@pytest.mark.usefixtures("two_gpus_in_sight")
def test_a_process_that_sees_several_gpus_trains_on_one(toy, tmp_path):
    assert len(sft.train_sft(toy.model(), toy.tokenizer, batches(toy, 2), CONFIG, tmp_path, seed=0)) == 2


def test_resumed_run_equals_the_uninterrupted_one(toy, tmp_path, monkeypatch):
    straight = toy.model()
    sft.train_sft(straight, toy.tokenizer, batches(toy), CONFIG, tmp_path / "straight", seed=0)

    class PowerCutError(Exception):
        pass

    original, seen = sft.CurriculumTrainer.training_step, []

    def until_step_seven(self, *arguments, **keywords):
        seen.append(1)
        if len(seen) == 7:
            raise PowerCutError
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(sft.CurriculumTrainer, "training_step", until_step_seven)
    with pytest.raises(PowerCutError):
        sft.train_sft(toy.model(), toy.tokenizer, batches(toy), CONFIG, tmp_path / "cut", seed=0)
    monkeypatch.setattr(sft.CurriculumTrainer, "training_step", original)

    resumed = toy.model()
    log = sft.train_sft(resumed, toy.tokenizer, batches(toy), CONFIG, tmp_path / "cut", seed=0)
    assert torch.equal(weights(resumed), weights(straight))
    assert [entry["step"] for entry in log] == list(range(1, 13))


def test_each_checkpoint_is_complete_when_it_is_announced(toy, tmp_path):
    seen = []
    config = CONFIG.model_copy(update={"checkpoint_steps": 5})

    def announce():
        seen.append(last_complete_checkpoint(tmp_path))

    sft.train_sft(toy.model(), toy.tokenizer, batches(toy), config, tmp_path, seed=0, on_checkpoint=announce)
    assert seen == [str(tmp_path / f"checkpoint-{step}") for step in (5, 10, 12)]


def test_the_latest_checkpoint_stays_whatever_the_clock_says(toy, tmp_path):
    """Of an earlier attempt there is one from what is the future now: the clock was set back since."""
    config = CONFIG.model_copy(update={"checkpoint_steps": 5})
    old = tmp_path / "checkpoint-5"

    def set_the_clock_back():
        if old.is_dir():
            os.utime(old, (4e9, 4e9))

    sft.train_sft(toy.model(), toy.tokenizer, batches(toy), config, tmp_path, seed=0, on_checkpoint=set_the_clock_back)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-12"]


def test_a_checkpoint_that_cannot_be_removed_ends_no_training(toy, tmp_path, monkeypatch):
    """As where somebody still reads one of its files, on NFS."""

    def in_use(*_arguments, **_keywords):
        raise OSError(39, "Directory not empty")

    config = CONFIG.model_copy(update={"checkpoint_steps": 5})
    monkeypatch.setattr(os, "rmdir", in_use)
    assert len(sft.train_sft(toy.model(), toy.tokenizer, batches(toy), config, tmp_path, seed=0)) == 12
    monkeypatch.undo()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")


def test_half_written_checkpoint_is_passed_over(tmp_path):
    for step, state in ((100, json.dumps({"global_step": 100})), (200, '{"global_step": 2')):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-300").mkdir()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-100")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-100"]
