"""SRPO: sparse-regularised group policy optimisation (paper, section 3.3), on TRL's `GRPOTrainer`.

For each prompt G answers are sampled; with rewards r, exact answers c and rho, sigma as in `gream.training.advantages`,

    A_i = (r_i - mean(r)) / (std(r) + eps)  +  bonus_i(c, G, K)
    L   = - mean over tokens of min(w A, clip(w, 1 - 0.2, 1 + 0.2) A)  +  0.001 KL(policy || SFT policy)

where w is the ratio of a token's probability now to that when it was sampled. Groups of equal rewards are replaced by
fresh prompts. Deviations from the authors' code, each with its reason:

1) Answers are sampled through the token trie, so that none is illegal, and the trainer takes their log-probabilities
   over the same legal tokens. Over the whole vocabulary the ratio w would be wrong by the legal mass of every step
   (https://github.com/huggingface/trl/issues/6789).
2) Chains cite items of their own history only, by a mask that the trainer applies too (`gream.decoding.grounding`): a
   small model invents most of its citations otherwise, and reasoning about items that the user never had earns nothing.
3) Tokens that nobody sampled (the `<answer>` tag, a `</think>` forced at the length limit) carry no loss.
4) Fresh prompts are drawn when they are needed, instead of over-sampling nine-fold: same groups, fewer rollouts.
5) Prompts may be a mix of reasoning and direct ones (`reasoning_share`), against forgetting direct mode.
6) Several processes share the prompts of a step equally. The mean over a mini-batch's tokens is then the mean of their
   means.
7) A completion without advantage, because its group's rewards are all equal, goes through no model: but for the KL
   term, whose gradient it would have added, the update is what it was (`with_signal`). TRL's measures, such as `kl`,
   are of the others alone.
8) Each step draws its prompts afresh from all of them, so that a resumed run draws what the killed one would have. Of
   as many prompts as all steps take together some 37 % (1/e) are then never drawn, and others several times;
   somewhat fewer where groups are replaced.

As in the paper, an answer may be any item: also one of the history, where the protocol of the evaluation and of serving
leaves those out.

TRL's own trainer generates by itself and weighs every token equally; the two methods overridden below are where it
samples and where it takes log-probabilities. The loss, clipping, KL and the schedule are TRL's.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from gream.config import SrpoConfig
from gream.decoding.batching import left_pad
from gream.decoding.grounding import Grounding, citable_paths
from gream.decoding.mask import PUT_IN, masked_log_probs
from gream.decoding.trie import TokenTrie
from gream.errors import ConfigError
from gream.training.checkpoints import AfterCheckpoint, last_complete_checkpoint
from gream.training.groups import Group, draw_groups, score_group, statistics
from gream.training.precision import widen
from gream.training.processes import on_one_device, process_count, trainer_arguments
from gream.training.rollouts import Rollout, Sampler, Task


class SrpoTrainer(GRPOTrainer):
    """`GRPOTrainer` with SRPO's rollouts, advantages and masked log-probabilities."""

    def __init__(
        self,
        *,
        sampler: Sampler,
        tasks: Sequence[Task],
        settings: SrpoConfig,
        **arguments: Any,
    ) -> None:
        """Args:
        sampler: makes rollouts.
        tasks: all prompts.
        settings: hyper-parameters.
        arguments: of `GRPOTrainer`.
        """
        # Rows only count: TRL would not begin a step that it has too few of, and train on nothing without a word.
        rows = Dataset.from_dict({"prompt": [""] * max(len(tasks), settings.prompts_per_step)})
        super().__init__(train_dataset=rows, reward_funcs=_rewarded_elsewhere, **arguments)
        self._sampler = sampler
        self._tasks = tasks
        self._settings = settings
        self._grounding = Grounding.of(sampler.trie, [], sampler.prompter.chain_tokens, self.accelerator.device)
        self._nodes: Tensor | None = None
        self._log_probs: Tensor | None = None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Tensor]:
        """One step's groups as TRL wants them; `inputs` only says how many."""
        step, process = self.state.global_step, self.accelerator.process_index
        seeds = np.random.SeedSequence((self.args.seed, step, 0))
        # All processes draw in one order, each its own part of it: no prompt is rolled out twice.
        everybodys = endless(self._tasks, np.random.default_rng(seeds))
        fresh = itertools.islice(everybodys, process, None, self.accelerator.num_processes)
        model = self.accelerator.unwrap_model(self.model)

        def roll(tasks: list[Task], attempt: int) -> list[Group]:
            # Randomness is a function of seed, step and round, so that a resumed run samples what the killed one did.
            entropy = np.random.SeedSequence((self.args.seed, step, process, attempt)).generate_state(1)[0]
            generator = torch.Generator().manual_seed(int(entropy))
            groups = self._sampler.roll_out(model, tasks, generator)
            return [
                score_group(rollouts, task.target, self._sampler.index, self._settings)
                for rollouts, task in zip(groups, tasks, strict=True)
            ]

        wanted = len(inputs) // self.num_generations
        with self._sampler.following(model), self.accelerator.autocast():  # In the precision that is trained in.
            draw = draw_groups(fresh, wanted, self._settings.max_generation_rounds, roll)
        for name, value in self._averaged(statistics(draw, self._settings, self._is_item)).items():
            self._metrics["train"][name].append(value)
        return assemble(draw.groups, self._sampler.trie, self.processing_class.pad_token_id, self.accelerator.device)

    def _averaged(self, values: Mapping[str, float]) -> dict[str, float]:
        """Statistics of this process as the mean over all."""
        own = torch.tensor(list(values.values()), dtype=torch.float64, device=self.accelerator.device)
        return dict(zip(values, self.accelerator.reduce(own, "mean").tolist(), strict=True))

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss, of the completions that carry signal."""
        carrying = self.accelerator.gather((inputs["advantages"] != 0).sum()[None])
        batch, share = with_signal(inputs, least=int(carrying.max()))
        self._take_mask(batch)
        if self.beta:
            batch["ref_per_token_logps"] = self._reference_log_probs(batch)
        metrics = self._metrics["train"]
        of_all = metrics.pop("entropy", None)
        loss: Tensor = super()._compute_loss(model, batch) * share * self._weight(inputs)
        # TRL's is of these completions alone: a policy that always answers the same would not show in it.
        del metrics["entropy"]
        if of_all:
            metrics["entropy"] = of_all
        if self.state.global_step % self._settings.updates_per_step == 0:  # The weights are still those that sampled.
            assert self._log_probs is not None
            gap = (self._log_probs - batch["old_per_token_logps"])[batch["tool_mask"].bool()].abs().mean()
            for name, value in self._averaged({"sampling_gap": gap.item()}).items():
                metrics[name].append(value)
        return loss

    def _weight(self, micro_batch: dict[str, Tensor]) -> Tensor:
        """How much a micro-batch counts: its tokens, as a multiple of an average one's in its mini-batch.

        TRL takes the mean of the means of micro-batches; by these weights it is the mean over a mini-batch's tokens,
        however it is cut.
        """
        assert self._buffered_inputs is not None  # All micro-batches of the step, in the order that they are taken in.
        parts = self.current_gradient_accumulation_steps
        first = self._step % self.args.steps_per_generation // parts * parts
        mini_batch = sum(loss_tokens(part).sum() for part in self._buffered_inputs[first : first + parts])
        return parts * loss_tokens(micro_batch).sum() / mini_batch

    def _reference_log_probs(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, T) log-probabilities under the SFT policy."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        with torch.no_grad():
            log_probs, _, _ = self._get_per_token_logps_and_entropies(
                self.ref_model, ids, mask, batch["completion_ids"].shape[1]
            )
        return log_probs

    def _take_mask(self, batch: dict[str, Tensor]) -> None:
        """TRL does not hand the batch to the method that takes log-probabilities, which needs what is legal where."""
        self._nodes = batch["trie_nodes"]
        self._grounding = self._grounding.over(batch["citable"])

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        **_: Any,
    ) -> tuple[Tensor, Tensor, None]:
        """(B, T) log-probabilities of the completion and entropies, under the mask that the sampler applied."""
        assert self._nodes is not None  # `_compute_loss` has set it.
        with self.accelerator.autocast():
            logits = model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=(attention_mask.cumsum(dim=1) - 1).clamp(min=0),
                logits_to_keep=logits_to_keep + 1,
                use_cache=False,
            ).logits[:, :-1]
        tokens = input_ids[:, -logits_to_keep:]
        log_probs, entropies = masked_log_probs(logits, tokens, self._nodes, self._grounding, self.temperature)
        self._log_probs = log_probs.detach()
        return log_probs, entropies, None

    def _is_item(self, item: int) -> bool:
        return 0 <= item < self._sampler.trie.n_items


def train_srpo(
    model: Any,
    tokenizer: Any,
    sampler: Sampler,
    tasks: Sequence[Task],
    settings: SrpoConfig,
    checkpoints: Path,
    seed: int,
    on_checkpoint: Callable[[], None] | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place, continuing from the last complete checkpoint in `checkpoints` if there is one.

    Args:
        model: the SFT policy, loaded from a folder (the KL term loads its reference from there).
        tokenizer: its tokenizer.
        sampler: makes rollouts.
        tasks: prompts to draw from.
        settings: hyper-parameters.
        checkpoints: folder for checkpoints.
        seed: of prompts and rollouts.
        on_checkpoint: called each time that a checkpoint has been written.

    Returns:
        For each optimiser update what was logged: on the first one of a step the values of
        `gream.training.groups.statistics` and `sampling_gap`, how far a token's log-probability in the trainer is from
        that in the sampler, on average: 0 up to rounding and dropout, or the sampler has other weights. On every update
        `loss`, `kl` (of the completions that carry signal alone), `learning_rate`, `grad_norm`.

    Raises:
        ConfigError: several processes cannot share a step equally.
    """
    mini_batch = _own_mini_batch(settings)
    micro_batch = settings.micro_batch or mini_batch
    accumulation = mini_batch // micro_batch
    updates = settings.updates_per_step
    arguments = GRPOConfig(
        output_dir=str(checkpoints),
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=accumulation,
        steps_per_generation=updates * accumulation,
        num_generations=settings.group_size,
        max_steps=settings.steps * updates,
        temperature=settings.temperature,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=settings.warmup_steps * updates,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        epsilon=settings.clip,
        epsilon_high=settings.clip,
        beta=settings.kl_coefficient,
        use_bias_correction_kl=False,
        loss_type="bnpo",  # The mean over the tokens of a mini-batch, as in the paper; `_weight` sees to micro-batches.
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=settings.gradient_checkpointing,
        seed=seed,
        # Only between steps: the rollouts of a step are not part of a checkpoint.
        save_steps=settings.checkpoint_steps * updates,
        logging_steps=1,
        report_to="none",
        disable_tqdm=False,
        **trainer_arguments(settings.sharding),
    )
    trainer = SrpoTrainer(
        sampler=sampler,
        tasks=tasks,
        settings=settings,
        model=model,
        processing_class=tokenizer,
        args=on_one_device(arguments),
        callbacks=[AfterCheckpoint(on_checkpoint)],
    )
    widen(model)  # Only now: TRL has loaded its reference in the type that the policy is kept in.
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(checkpoints))
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def _own_mini_batch(settings: SrpoConfig) -> int:
    """Completions of one optimiser update that are this process's."""
    processes = process_count()
    prompts, rest = divmod(settings.prompts_per_step, settings.updates_per_step * processes)
    own = prompts * settings.group_size
    if rest or (settings.micro_batch and own % settings.micro_batch):
        raise ConfigError(
            f"srpo.prompts_per_step = {settings.prompts_per_step} in {settings.updates_per_step} updates cannot be "
            f"shared by {processes} processes in micro-batches of {settings.micro_batch or 'any size'}: change one."
        )
    return own


def endless(tasks: Sequence[Task], rng: np.random.Generator) -> Iterator[Task]:
    """All tasks in random order, again and again."""
    while True:
        for place in rng.permutation(len(tasks)):
            yield tasks[place]


def assemble(groups: Sequence[Group], trie: TokenTrie, pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Groups as the padded tensors that TRL's loss reads: prompts on the left, completions on the right.

    `tool_mask` is TRL's name for the mask of completion tokens that carry a loss; here, of those that were sampled.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    prompt_ids, prompt_mask = left_pad([rollout.prompt for rollout in rollouts], device)
    width = max(len(rollout.completion) for rollout in rollouts)

    def padded(value: Callable[[Rollout], Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
        rows = [[*value(rollout), *[fill] * (width - len(rollout.completion))] for rollout in rollouts]
        return torch.tensor(rows, dtype=dtype, device=device)

    sampled = padded(lambda rollout: rollout.sampled, 0, torch.long)
    advantages = np.concatenate([group.advantages for group in groups])
    return {
        "prompt_ids": prompt_ids.masked_fill(~prompt_mask, pad_id),
        "prompt_mask": prompt_mask.long(),
        "completion_ids": padded(lambda rollout: rollout.completion, pad_id, torch.long),
        "completion_mask": padded(lambda rollout: [1] * len(rollout.completion), 0, torch.long),
        "tool_mask": sampled,
        "trie_nodes": padded(lambda rollout: rollout.nodes, PUT_IN, torch.long),
        "citable": citable_paths(trie, [rollout.citable for rollout in rollouts], device),
        "old_per_token_logps": padded(lambda rollout: rollout.log_probs, 0.0, torch.float32),
        "advantages": torch.tensor(advantages, dtype=torch.float32, device=device),
        "num_items_in_batch": sampled.sum(),
    }


def loss_tokens(batch: dict[str, Tensor]) -> Tensor:
    """(B,) how many tokens of each completion carry a loss."""
    return (batch["completion_mask"] * batch["tool_mask"]).sum(dim=1)


def with_signal(batch: dict[str, Tensor], least: int = 1) -> tuple[dict[str, Tensor], Tensor]:
    """What of a mini-batch the gradient needs: the completions whose advantage is not 0, and the columns they fill.

    Args:
        batch: from `assemble`, or a part of it.
        least: rows that are kept, others where too few have an advantage. Processes that train together keep equally
            many: TRL gathers statistics of each row. At least one is kept, since every process has to run its model.

    Returns:
        These rows; and which share of the loss's tokens is theirs, 0 where none has an advantage. TRL takes a mean over
        the rows that it is given: times the share it is, but for the KL term of the others, the mean over all.
    """
    carrying = batch["advantages"] != 0
    tokens = loss_tokens(batch)
    kept_rows = max(1, least, int(carrying.sum()))
    rows = (~carrying).to(torch.int8).argsort(stable=True)[:kept_rows].sort().values
    kept = {name: value[rows] if value.dim() else value for name, value in batch.items()}
    first = -int(kept["prompt_mask"].sum(dim=1).max())
    width = int(kept["completion_mask"].sum(dim=1).max())
    for name in ("prompt_ids", "prompt_mask"):
        kept[name] = kept[name][:, first:]
    for name in ("completion_ids", "completion_mask", "tool_mask", "trie_nodes", "old_per_token_logps"):
        kept[name] = kept[name][:, :width]
    return kept, carrying.any() * tokens[rows].sum() / tokens.sum()


def _rewarded_elsewhere(prompts: Sequence[str], **_: Mapping[str, Any]) -> list[float]:
    """GRPOTrainer wants a reward function; SRPO scores groups itself, so it is never called."""
    raise AssertionError(f"TRL asked for rewards of {len(prompts)} completions; SRPO scores its own.")
