"""Run by `torchrun` with two processes: a vLLM in each follows a model that they hold in pieces (FSDP)."""

import sys
from pathlib import Path

import torch
from torch import distributed
from training_pieces import cut_up
from training_vllm import TASKS, engine_of, gap, parts

from gream.policy.policy import Policy
from gream.training.processes import process_number, wait_for_others, whole_model
from gream.training.vllm_sampler import VllmSampler


def main(bundle: Path) -> None:
    distributed.init_process_group("gloo")
    policy, pieces = Policy.load(bundle), Policy.load(bundle).model
    with torch.no_grad():
        for weight, same in zip(policy.model.parameters(), pieces.parameters(), strict=True):
            weight *= 1.1  # Not those that the engine has read from the folder.
            same.copy_(weight)
    cut_up(pieces, tied=pieces.config.tie_word_embeddings)
    with engine_of(policy, bundle) as engine:
        sampler = VllmSampler(*parts(policy), engine)
        with sampler.following(pieces):
            for seed in range(1 + process_number()):  # Nobody waits for the other while it samples.
                groups = sampler.roll_out(pieces, TASKS, torch.Generator().manual_seed(seed))
    assert gap(policy, groups) < 1e-4
    wait_for_others()
    whole = whole_model(pieces, lambda: Policy.load(bundle).model)
    if process_number() == 0:
        assert torch.equal(whole.lm_head.weight, policy.model.lm_head.weight)
    wait_for_others()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
