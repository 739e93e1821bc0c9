"""Run by itself: samples a policy with vLLM and with its own decoder, and prints what the trainer's model says to it.

vLLM changes the process that it runs in, so the tests keep theirs free of it.
"""

import json
import sys
from contextlib import closing
from pathlib import Path

import torch

from gream.config import SrpoConfig
from gream.decoding.grounding import Grounding
from gream.decoding.mask import masked_log_probs
from gream.policy.policy import Policy
from gream.training.rollouts import Task, TransformersSampler
from gream.training.srpo import train_srpo
from gream.training.vllm_engine import ColocatedEngine
from gream.training.vllm_sampler import VllmSampler

TEMPERATURE = 0.8
CHAIN_TOKENS = 24
SETTINGS = SrpoConfig(
    steps=2,
    prompts_per_step=4,
    updates_per_step=2,
    group_size=4,
    pass_k=2,
    temperature=TEMPERATURE,
    max_chain_tokens=CHAIN_TOKENS,
    learning_rate=1e-3,
    checkpoint_steps=1,
    rollouts="vllm",
)
TASKS = [Task([n, n + 7, 3 * n], target=5, reasoning=n % 3 > 0) for n in range(12)] + [Task([], 5, reasoning=True)]


def gap(policy, groups):
    """The largest difference between log-probabilities of the same tokens, in the sampler and in the model."""
    found = 0.0
    for rollout in (rollout for group in groups for rollout in group):
        ids = torch.tensor([[*rollout.prompt, *rollout.completion]])
        with torch.no_grad():
            logits = policy.model(input_ids=ids).logits[:, len(rollout.prompt) - 1 : -1]
        grounding = Grounding.of(policy.trie, [rollout.citable], policy.prompter.chain_tokens, logits.device)
        tokens, nodes = torch.tensor([rollout.completion]), torch.tensor([rollout.nodes])
        now, _ = masked_log_probs(logits, tokens, nodes, grounding, TEMPERATURE)
        found = max(found, (now[0] - torch.tensor(rollout.log_probs)).abs().max().item())
    return found


def parts(policy):
    return policy.trie, policy._tokens, policy.prompter, 4, TEMPERATURE, CHAIN_TOKENS


def engine_of(policy, bundle):
    return closing(ColocatedEngine(bundle, policy.longest_sequence(CHAIN_TOKENS), max(policy.trie.max_branching)))


def trained(bundle, folder, cut):
    """The weights after training, which is cut off at its first checkpoint and begun again if so wished."""
    policy, checkpoints = Policy.load(bundle), iter([cut])
    policy.model.train()

    def on_checkpoint():
        if next(checkpoints, False):
            raise InterruptedError

    try:
        with engine_of(policy, bundle) as engine:
            sampler = VllmSampler(*parts(policy), engine)
            train_srpo(policy.model, policy.tokenizer, sampler, TASKS, SETTINGS, folder, 0, on_checkpoint)
    except InterruptedError:
        return trained(bundle, folder, cut=False)
    return torch.cat([weight.detach().flatten() for weight in policy.model.parameters()])


def main(bundle: Path) -> None:
    policy, told = Policy.load(bundle), {}
    own = TransformersSampler(*parts(policy))
    with engine_of(policy, bundle) as engine:
        sampler = VllmSampler(*parts(policy), engine)

        def roll_out(made_by=sampler, seed=0):
            return made_by.roll_out(policy.model, TASKS, torch.Generator().manual_seed(seed))

        torch.manual_seed(3)
        before = torch.random.get_rng_state()
        with sampler.following(policy.model):
            first = roll_out()
            told["gap"] = gap(policy, first)
            told["same_again"] = roll_out() == first
            told["others_with_another_seed"] = roll_out(seed=1) != first
        told["generator_untouched"] = torch.equal(torch.random.get_rng_state(), before)
        told["finished"] = [rollout.well_formed for group in first for rollout in group]
        told["cited"] = sum(
            node < -1 for group in first for rollout in group for node in rollout.nodes if node > -(2**62)
        )
        with own.following(policy.model):
            theirs = roll_out(own)
        direct = [place for place, task in enumerate(TASKS) if not task.reasoning]
        told["same_answers"] = [
            [rollout.completion for rollout in first[place]] == [rollout.completion for rollout in theirs[place]]
            for place in direct
        ]
        with torch.no_grad():
            for weight in policy.model.parameters():
                weight += 0.05 * weight.std().nan_to_num() * torch.randn_like(weight)
        told["gap_of_old_weights"] = gap(policy, roll_out())
        with sampler.following(policy.model):
            told["gap_of_new_weights"] = gap(policy, roll_out())
    straight, resumed = (trained(bundle, bundle.parent / str(cut), cut) for cut in (False, True))
    told["resumed_as_straight"] = torch.equal(straight, resumed)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
