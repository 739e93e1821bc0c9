"""Run by `torchrun` with two processes: a model in pieces (FSDP) is sampled, used, trained on, and made whole again."""

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Qwen3Config, Qwen3ForCausalLM

from gream.decoding.answers import sample_answers
from gream.decoding.chains import sample_chains
from gream.decoding.grounding import ChainTokens, Grounding
from gream.decoding.trie import TokenTrie
from gream.training.processes import gathered, process_number, wait_for_others, whole_model, whole_weights

STOP = 39
ITEMS = [(40, 43), (40, 44), (41, 43), (42, 45)]
TRIE = TokenTrie.build(ITEMS)
TOKENS = torch.arange(6)[None]


def untrained(tied):
    torch.manual_seed(0)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            initializer_range=0.3,
            tie_word_embeddings=tied,
        )
    )


def cut_up(model, tied):
    """Each of two processes holds a piece of every weight, in the units that accelerate makes."""
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    ends = [model.model.norm, model.lm_head]
    if tied:
        ends.insert(1, model.model.embed_tokens)
    else:
        fully_shard(model.model.embed_tokens, mesh=mesh)
    fully_shard(ends, mesh=mesh, reshard_after_forward=False)
    fully_shard(model, mesh=mesh)


def rollouts(model, limit):
    """Chains of so many tokens at most, and answers."""
    prompts, generator = [[1, 2, 3], [4, 5]], torch.Generator().manual_seed(1)
    index_ids = sorted({token for item in ITEMS for token in item})
    grounding = Grounding.of(TRIE, [[0, 3], [2]], ChainTokens(index_ids, []), torch.device("cpu"))
    chains = sample_chains(model, prompts, STOP, torch.rand(2, 3, limit, generator=generator), grounding)
    return chains, sample_answers(model, prompts, TRIE, torch.rand(2, 3, TRIE.depth, generator=generator))


def check(tied):
    model = untrained(tied)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    limit = 5 + 20 * process_number()  # Chains of different lengths: nobody may wait for the other.
    expected = rollouts(model, limit)
    with torch.no_grad():
        logits = model(input_ids=TOKENS).logits

    cut_up(model, tied)
    with gathered(model):  # The first thing that happens to it, as in a training: no pass has gone through its root.
        assert rollouts(model, limit) == expected
    wait_for_others()
    with gathered(model), torch.inference_mode():
        for _ in range(1 + 3 * process_number()):
            alone = model(input_ids=TOKENS).logits
    assert torch.equal(alone, logits)
    wait_for_others()

    for name, weight in whole_weights(model):
        assert torch.equal(weight, before[name])
    assert {name for name, _ in whole_weights(model)} == before.keys() - ({"lm_head.weight"} if tied else set())

    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    assert all(type(weight).__name__ == "DTensor" and weight.grad is not None for weight in model.parameters())
    with gathered(model):  # And between two updates.
        assert rollouts(model, limit) == expected
    whole = whole_model(model, lambda: untrained(tied))
    if process_number() == 0:
        assert all(torch.equal(whole.state_dict()[name], weight) for name, weight in before.items())
    wait_for_others()


def main():
    distributed.init_process_group("gloo")
    for tied in (True, False):
        check(tied)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
