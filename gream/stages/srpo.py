"""Stage 6: reinforcement learning on the policy's own rollouts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gream import columns
from gream.corpora.build import Corpus
from gream.corpora.rl import RlPrompt
from gream.policy.bundle import KIND, PolicyFacts, save_policy
from gream.stages.mirror import keep_checkpoint
from gream.stages.store import Recipe, RunContext, produce

if TYPE_CHECKING:
    from gream.policy.policy import Policy
    from gream.training.rollouts import Task

CODE: Final = ("data/transitions.py", "decoding", "policy", "training")


def run(corpus: Path, sft_policy: Path, context: RunContext) -> Path:
    """The folder of the policy after SRPO; `stage_facts` of it has the training log.

    With `srpo.steps = 0` it is the SFT policy unchanged.
    """
    profile, settings = context.profile, context.profile.srpo
    recipe = Recipe(
        stage="srpo",
        kind=KIND,
        settings={"srpo": settings.model_dump()},
        seed=context.seed,
        inputs={"corpus": corpus, "sft_policy": sft_policy},
        code=CODE,
    )

    def make(target: Path, work: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.policy.policy import Policy
        from gream.training.rollouts import Sampler
        from gream.training.srpo import train_srpo

        policy = Policy.load(sft_policy)
        log: list[dict[str, float]] = []
        if settings.steps:
            policy.model.train()
            log = train_srpo(
                policy.model,
                policy.tokenizer,
                Sampler(
                    policy.trie,
                    policy.index.encode(policy.items[columns.ITEM].to_list()),
                    policy.prompter,
                    settings.group_size,
                    settings.temperature,
                    settings.max_chain_tokens,
                ),
                _tasks(Corpus.load(corpus).rl, policy, settings.reasoning_share, context.seed),
                settings,
                work / "checkpoints",
                context.seed,
                on_checkpoint=lambda: keep_checkpoint(work),
            )
        facts = PolicyFacts.of(profile, policy.facts.dataset, "srpo", context.seed)
        # SRPO moves the policy little: the weights of its prior stay those that were fitted after SFT.
        facts = facts.model_copy(update={"prior": policy.facts.prior})
        save_policy(target, policy.model, policy.tokenizer, policy.index, policy.items, facts, policy.prior)
        return {"log": log}

    return produce(recipe, make, context.workspace)


def _tasks(prompts: list[RlPrompt], policy: "Policy", reasoning_share: float, seed: int) -> "list[Task]":
    """RL prompts as item numbers, each in one of the two modes."""
    from gream.training.rollouts import Task

    number = {item_id: place for place, item_id in enumerate(policy.items[columns.ITEM].to_list())}
    reasons = np.random.default_rng(seed).random(len(prompts)) < reasoning_share
    return [
        Task([number[item_id] for item_id in prompt.history], number[prompt.target], bool(reasoning))
        for prompt, reasoning in zip(prompts, reasons, strict=True)
    ]
