import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from training_toy import INDEX

from gream.config import SrpoConfig
from gream.corpora.checks import citations
from gream.training import srpo
from gream.training.checkpoints import last_complete_checkpoint
from gream.training.groups import Group, draw_groups, score_group, statistics
from gream.training.rollouts import Rollout, Task, TransformersSampler

pytestmark = pytest.mark.unit

SETTINGS = SrpoConfig(
    steps=4,
    prompts_per_step=4,
    updates_per_step=2,
    group_size=6,
    pass_k=2,
    max_chain_tokens=8,
    reasoning_share=0.5,
    learning_rate=1e-3,
    warmup_steps=0,
    checkpoint_steps=2,
    kl_coefficient=0.01,
)


def sampler(toy, settings=SETTINGS):
    return TransformersSampler(
        toy.trie, INDEX, toy.prompter, settings.group_size, settings.temperature, settings.max_chain_tokens
    )


def tasks():
    """The item after any history is always number 5; every other prompt reasons."""
    return [Task(history=[n, (n + 1) % 8], target=5, reasoning=n % 2 == 0) for n in range(8)]


def rollout(item: int, well_formed: bool = True) -> Rollout:
    return Rollout([1], [2, 3], [-1.0, -1.0], [0, 1], [True, True], [], item, well_formed)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_rollouts_answer_legal_items_of_both_modes(toy):
    groups = sampler(toy).roll_out(toy.model(), tasks(), torch.Generator().manual_seed(0))
    assert [len(group) for group in groups] == [6] * 8
    for task, group in zip(tasks(), groups, strict=True):
        for made in group:
            width = len(made.completion)
            assert len(made.log_probs) == len(made.nodes) == len(made.sampled) == width
            tokens = toy.tokenizer.convert_ids_to_tokens(made.completion)
            assert tokens[-2:] == INDEX[made.item]
            # What a chain cites are items of its history; the last citation may have been cut by the length limit.
            cited = [list(item) for item in citations("".join(tokens[:-2]))]
            whole = cited if made.well_formed else [item for item in cited if len(item) == 2]
            assert all(item in [INDEX[n] for n in task.history] for item in whole)
            assert ("<answer>" in toy.tokenizer.convert_ids_to_tokens(made.completion)) is task.reasoning


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_trainer_sees_the_probabilities_that_were_sampled(toy, tmp_path, monkeypatch, temperature):
    """The importance ratio before the first update is 1: no trie bias (trl#6789), no loss on what was put in."""
    differences = []
    original = srpo.SrpoTrainer._compute_loss

    def compare(self, model, inputs):
        if self.state.global_step == 0:
            ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1)
            mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1)
            self._take_mask(inputs)
            now, _, _ = self._get_per_token_logps_and_entropies(model, ids, mask, self._nodes.shape[1])
            loss_mask = (inputs["tool_mask"] * inputs["completion_mask"]).bool()
            differences.append((now - inputs["old_per_token_logps"])[loss_mask].abs().max().item())
        return original(self, model, inputs)

    monkeypatch.setattr(srpo.SrpoTrainer, "_compute_loss", compare)
    settings = SETTINGS.model_copy(update={"steps": 1, "temperature": temperature})
    srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy, settings), tasks(), settings, tmp_path, seed=0)
    assert len(differences) == 1
    assert max(differences) < 1e-4


def untrained(toy, folder, monkeypatch, settings):
    """The trainer as it is when training would begin."""
    made = []
    monkeypatch.setattr(srpo.SrpoTrainer, "train", lambda self, **_: made.append(self))
    srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy, settings), tasks(), settings, folder, seed=3)
    return made[0]


@pytest.mark.parametrize(
    ("ratio", "advantage", "clipped"), [(2.0, 1, -1.2), (2.0, -1, 2.0), (0.5, 1, -0.5), (0.5, -1, 0.8)]
)
def test_the_loss_by_hand(toy, tmp_path, monkeypatch, ratio, advantage, clipped):
    """The clip is at 0.2; where the reference is d above the policy, KL is e^d - d - 1, and here d is 1."""
    settings = SETTINGS.model_copy(update={"kl_coefficient": 0.1})
    trainer = untrained(toy, tmp_path, monkeypatch, settings)
    group = Group([rollout(5)], np.ones(1), np.ones(1), np.array([advantage]))
    batch = srpo.assemble([group], toy.trie, 0, trainer.accelerator.device)
    trainer._log_probs = batch["old_per_token_logps"] + math.log(ratio)

    def told(model, *_, **__):
        log_probs = trainer._log_probs + 1 if model is trainer.ref_model else trainer._log_probs
        return log_probs, torch.zeros_like(log_probs), None

    monkeypatch.setattr(trainer, "_get_per_token_logps_and_entropies", told)
    trainer._buffered_inputs, trainer.current_gradient_accumulation_steps = [batch], 1
    loss = trainer._compute_loss(trainer.model.train(), batch)
    assert loss.item() == pytest.approx(clipped + 0.1 * (math.e - 2))


def test_the_trainer_is_told_the_settings(toy, tmp_path, monkeypatch):
    changes = {"warmup_steps": 3, "weight_decay": 0.3, "max_grad_norm": 0.7, "clip": 0.15, "temperature": 0.9}
    trainer = untrained(toy, tmp_path, monkeypatch, SETTINGS.model_copy(update=changes | {"micro_batch": 3}))
    wanted = {
        "max_steps": 8,  # Four steps of two updates.
        "warmup_steps": 6,
        "save_steps": 4,
        "per_device_train_batch_size": 3,
        "gradient_accumulation_steps": 4,  # Two prompts' six answers in an update, three at a time.
        "steps_per_generation": 8,
        "num_generations": 6,
        "temperature": 0.9,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant_with_warmup",
        "weight_decay": 0.3,
        "max_grad_norm": 0.7,
        "epsilon": 0.15,
        "epsilon_high": 0.15,
        "beta": 0.01,
        "use_bias_correction_kl": False,
        "loss_type": "bnpo",
        "seed": 3,
    }
    assert {name: getattr(trainer.args, name) for name in wanted} == wanted


def test_sampling_and_training_run_in_one_precision(toy, tmp_path):
    model, seen = toy.model(), {True: set(), False: set()}
    model.model.layers[0].mlp.act_fn.register_forward_hook(
        lambda _module, _inputs, output: seen[torch.is_grad_enabled()].add(output.dtype)
    )
    settings = SETTINGS.model_copy(update={"steps": 1, "precision": "bf16"})
    srpo.train_srpo(model, toy.tokenizer, sampler(toy), tasks(), settings, checkpoints=tmp_path, seed=0)
    assert seen == {True: {torch.bfloat16}, False: {torch.bfloat16}}


def test_only_completions_with_advantage_are_kept_without_the_columns_of_others():
    batch = {
        "prompt_ids": torch.tensor([[7, 8, 9], [0, 8, 9], [0, 0, 9]]),
        "prompt_mask": torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1]]),
        "completion_ids": torch.tensor([[1, 2, 3, 4], [1, 2, 3, 0], [1, 0, 0, 0]]),
        "completion_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]]),
        "tool_mask": torch.tensor([[1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]]),
        "trie_nodes": torch.zeros(3, 4, dtype=torch.long),
        "old_per_token_logps": torch.zeros(3, 4),
        "advantages": torch.tensor([0.0, 1.0, -1.0]),
        "num_items_in_batch": torch.tensor(6),
    }
    kept, share = srpo.with_signal(batch)
    assert kept["prompt_ids"].tolist() == [[8, 9], [0, 9]]
    assert kept["completion_ids"].tolist() == [[1, 2, 3], [1, 0, 0]]
    assert share.item() == pytest.approx(3 / 6)
    kept, share = srpo.with_signal(batch | {"advantages": torch.zeros(3)})
    assert len(kept["prompt_ids"]) == 1
    assert share.item() == 0
    kept, share = srpo.with_signal(batch, least=3)  # Another process keeps three.
    assert len(kept["prompt_ids"]) == 3
    assert share.item() == 1


def test_an_update_is_the_same_without_the_completions_that_carry_no_signal(toy, tmp_path, monkeypatch):
    """One update: the KL to the policy it begins with has no gradient yet."""
    settings = SETTINGS.model_copy(
        update={"steps": 1, "prompts_per_step": 8, "updates_per_step": 1, "max_generation_rounds": 1, "group_size": 3}
    )
    direct = [Task(task.history, task.target, reasoning=False) for task in tasks()]
    shares, trained = [], []
    for keep_all in (False, True):
        original = srpo.with_signal

        def judged(batch, least, keep_all=keep_all, original=original):
            kept, share = original(batch, least)
            shares.append(share.item())
            return (dict(batch), torch.tensor(1.0)) if keep_all else (kept, share)

        model = toy.model()
        with monkeypatch.context() as patch:
            patch.setattr(srpo, "with_signal", judged)
            srpo.train_srpo(
                model, toy.tokenizer, sampler(toy, settings), direct, settings, tmp_path / str(keep_all), seed=0
            )
        trained.append(weights(model))
    assert 0 < shares[0] == shares[1] < 1
    assert torch.allclose(*trained, atol=1e-6)
    assert not torch.allclose(trained[0], weights(toy.model()), atol=1e-5)


def test_each_step_logs_what_on_call_needs(toy, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 2})
    log = srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy), tasks(), settings, checkpoints=tmp_path, seed=0)
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]
    for entry in log[::2]:
        wanted = {"reward", "reward_variance", "rho", "zero_variance_share", "illegal_answers", "kl", "entropy"}
        assert wanted <= entry.keys()
        assert entry["illegal_answers"] == 0
        assert entry["sampling_gap"] < 1e-4  # The toy has no dropout.
    for entry in log[1::2]:
        assert "kl" in entry
        assert "entropy" not in entry  # It is of the step's rollouts.


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_a_collapse_shows_in_the_logged_entropy(toy, tmp_path, micro_batch):
    """Of four prompts three have one certain answer: their groups carry no signal, and still count."""

    class Collapsed(TransformersSampler):
        def roll_out(self, model, tasks, generator):
            first, *others = super().roll_out(model, tasks, generator)
            certain = [replace(group[0], log_probs=[0.0, 0.0]) for group in others]
            return [[replace(one, log_probs=[-0.8, -0.4]) for one in first], *([one] * 6 for one in certain)]

    settings = SETTINGS.model_copy(update={"steps": 1, "max_generation_rounds": 1, "micro_batch": micro_batch})
    sampled = (settings.group_size, settings.temperature, settings.max_chain_tokens)
    collapsed = Collapsed(toy.trie, INDEX, toy.prompter, *sampled)
    direct = [Task(task.history, task.target, reasoning=False) for task in tasks()]
    log = srpo.train_srpo(toy.model(), toy.tokenizer, collapsed, direct, settings, checkpoints=tmp_path, seed=0)
    assert log[0]["zero_variance_share"] == 0.75
    assert log[0]["entropy"] == pytest.approx((0.8 + 0.4) / 2 / 4)


def test_entropy_is_of_every_draw_and_of_sampled_tokens_alone():
    """Two rounds of one prompt each; only the second carries signal."""
    chosen = rollout(5)
    made = [
        # Forced at the end: the log-probability there is nobody's choice.
        [replace(chosen, log_probs=[-0.5, -9.0], sampled=[True, False])] * 2,
        [chosen, replace(chosen, log_probs=[-2.0, 0.0], item=0)],
    ]

    def roll(batch, attempt):
        return [score_group(made[attempt], 5, INDEX, two)]

    two = SETTINGS.model_copy(update={"group_size": 2, "pass_k": 1})
    draw = draw_groups(iter([Task([], 5, reasoning=False)] * 9), wanted=1, max_rounds=9, roll=roll)
    assert draw.rounds == 2
    entropy = statistics(draw, two, legal=lambda item: True)["entropy"]
    assert entropy == pytest.approx((0.5 + 0.5 + 1 + 1 + 2 + 0) / 6)


def test_each_checkpoint_is_complete_when_it_is_announced(toy, tmp_path):
    seen = []
    settings = SETTINGS.model_copy(update={"steps": 2, "checkpoint_steps": 1})

    def announce():
        seen.append(last_complete_checkpoint(tmp_path))

    srpo.train_srpo(
        toy.model(), toy.tokenizer, sampler(toy), tasks(), settings, tmp_path, seed=0, on_checkpoint=announce
    )
    updates = settings.updates_per_step
    assert seen == [str(tmp_path / f"checkpoint-{step}") for step in (updates, 2 * updates)]


def gradients(toy, folder, settings):
    """Of every update of a training, all weights' in a row."""
    seen = []

    def take(optimizer, *_):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        seen.append(torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None]))

    hook = register_optimizer_step_pre_hook(take)
    try:
        srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy, settings), tasks(), settings, folder, seed=0)
    finally:
        hook.remove()
    return torch.stack(seen)


def test_micro_batches_leave_the_gradient_as_it_is(toy, tmp_path):
    """Chains and direct answers have few and many tokens: a mean of means would weigh the few too much."""
    found = []
    for size in (0, 1, 3):
        settings = SETTINGS.model_copy(update={"steps": 2, "micro_batch": size, "max_grad_norm": 1e6})
        found.append(gradients(toy, tmp_path / str(size), settings))
    whole, single, threes = found
    assert whole.norm(dim=1).min() > 0.01
    # Rounding alone tells them apart; of later updates also that of the weights before.
    for cut in (single, threes):
        assert (cut - whole).norm(dim=1).tolist() == pytest.approx([0.0] * 4, abs=1e-3 * whole.norm().item())
        assert (cut[0] - whole[0]).norm() < 1e-5 * whole[0].norm()


@pytest.mark.usefixtures("two_gpus_in_sight")
def test_a_process_that_sees_several_gpus_trains_on_one(toy, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 1})
    log = srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy), tasks(), settings, checkpoints=tmp_path, seed=0)
    assert len(log) == 2


def test_recomputing_activations_changes_nothing(toy, tmp_path):
    trained, layers_run = [], []
    for recompute in (False, True):
        model, runs = toy.model(), []
        model.model.layers[0].register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        settings = SETTINGS.model_copy(update={"steps": 1, "gradient_checkpointing": recompute})
        srpo.train_srpo(model, toy.tokenizer, sampler(toy), tasks(), settings, tmp_path / str(recompute), seed=0)
        trained.append(weights(model))
        layers_run.append(len(runs))
    assert torch.allclose(*trained, atol=1e-5)
    assert layers_run[1] > layers_run[0]


def test_srpo_learns_the_item_that_is_rewarded(toy, tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 25, "learning_rate": 5e-3, "reasoning_share": 0.0})
    direct = [Task(task.history, task.target, reasoning=False) for task in tasks()]
    log = srpo.train_srpo(toy.model(), toy.tokenizer, sampler(toy), direct, settings, checkpoints=tmp_path, seed=0)
    rewards = [entry["reward"] for entry in log if "reward" in entry]
    assert np.mean(rewards[:3]) < 0.6
    assert np.mean(rewards[-3:]) > 0.8


def test_resumed_run_equals_the_uninterrupted_one(toy, tmp_path, monkeypatch):
    def train(model, folder):
        srpo.train_srpo(model, toy.tokenizer, sampler(toy), tasks(), SETTINGS, checkpoints=folder, seed=3)

    straight = toy.model()
    train(straight, tmp_path / "straight")

    class PowerCutError(Exception):
        pass

    original = srpo.SrpoTrainer._generate_and_score_completions

    def until_the_last_step(self, inputs):
        if self.state.global_step == 6:
            raise PowerCutError
        return original(self, inputs)

    monkeypatch.setattr(srpo.SrpoTrainer, "_generate_and_score_completions", until_the_last_step)
    with pytest.raises(PowerCutError):
        train(toy.model(), tmp_path / "cut")
    monkeypatch.setattr(srpo.SrpoTrainer, "_generate_and_score_completions", original)
    resumed = toy.model()
    train(resumed, tmp_path / "cut")
    assert torch.equal(weights(resumed), weights(straight))


def test_cut_chains_get_nothing_even_for_the_right_item():
    group = score_group([rollout(5), rollout(5, well_formed=False), rollout(4), rollout(0)], 5, INDEX, SETTINGS)
    assert group.rewards.tolist() == pytest.approx([1.0, 0.0, np.sqrt(0.5), 0.0])
    assert group.hits.tolist() == [1, 0, 0, 0]


def test_ablations_change_reward_and_advantage():
    rollouts = [rollout(5), rollout(4), rollout(0)]
    plain = SETTINGS.model_copy(update={"bonus": False, "residual_reward": False})
    group = score_group(rollouts, 5, INDEX, plain)
    assert group.rewards.tolist() == [1, 0, 0]
    assert group.advantages == pytest.approx(np.array([2, -1, -1]) / np.sqrt(3), rel=1e-5)


def test_groups_without_signal_are_replaced_by_fresh_prompts():
    """Targets say what a group answers: 5 is always right, 0 always wrong, 4 right half of the time."""
    asked = []

    def roll(batch, attempt):
        asked.append((attempt, [task.target for task in batch]))
        answers = {5: [5, 5], 0: [5, 5], 4: [4, 5]}
        return [
            score_group([rollout(item) for item in answers[task.target]], task.target, INDEX, two) for task in batch
        ]

    two = SETTINGS.model_copy(update={"group_size": 2, "pass_k": 1})
    stream = iter([Task([], target, reasoning=False) for target in (5, 4, 0, 4, 4, 4)])
    draw = draw_groups(stream, wanted=3, max_rounds=10, roll=roll)
    # One of three has signal: the two that miss should take 2 x 4 / 2 = 4 prompts, and a round draws at most 3.
    assert asked == [(0, [5, 4, 0]), (1, [4, 4, 4])]
    assert len(draw.groups) == 3
    assert all(group.has_signal for group in draw.groups)
    # Mean rewards by group: 1, four times (1 + sqrt 1/2) / 2, and 0. Item 5 is answered eight times.
    assert statistics(draw, two, legal=lambda item: item < 5) == pytest.approx(
        {
            "reward": (1 + 2 * (1 + math.sqrt(0.5))) / 6,
            "reward_variance": 4 * ((1 - math.sqrt(0.5)) / 2) ** 2 / 6,
            "rho": (1 + 4 * 0.5 + 0) / 6,  # At K = 1 the share of exact answers.
            "exact_share": (1 + 4 * 0.5 + 0) / 6,
            "zero_variance_share": 2 / 6,
            "entropy": 1,
            "illegal_answers": 8,
            "cut_chains_share": 0,
            "completion_tokens": 2,
            "rounds": 2,
        }
    )


def test_prompts_without_signal_fill_up_when_rounds_run_out():
    def roll(batch, attempt):
        return [score_group([rollout(0), rollout(0)], 5, INDEX, two) for _ in batch]

    two = SETTINGS.model_copy(update={"group_size": 2, "pass_k": 1})
    stream = iter([Task([], 5, reasoning=False)] * 100)
    draw = draw_groups(stream, wanted=3, max_rounds=4, roll=roll)
    assert len(draw.groups) == 3
    assert len(draw.sampled) == 12
    assert not any(group.advantages.any() for group in draw.groups)
