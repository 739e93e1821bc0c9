"""Run by `torchrun` with two processes: a model in pieces (FSDP) is used, trained on, and made whole again."""

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import Qwen3Config, Qwen3ForCausalLM

from gream.training.processes import gathered, process_number, wait_for_others, whole_model, whole_weights

CONFIG = Qwen3Config(
    vocab_size=50,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=8,
    tie_word_embeddings=True,
)
TOKENS = torch.arange(6)[None]


def cut_up(model):
    """Each of two processes holds a piece of every weight."""
    mesh = init_device_mesh("cpu", (2,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    # As accelerate does it where embeddings are tied.
    fully_shard([model.model.norm, model.model.embed_tokens, model.lm_head], mesh=mesh, reshard_after_forward=False)
    fully_shard(model, mesh=mesh)


def main():
    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(CONFIG)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    with torch.no_grad():
        expected = model(input_ids=TOKENS).logits

    cut_up(model)
    with gathered(model), torch.inference_mode():
        for _ in range(1 + 3 * process_number()):  # Chains of different lengths: nobody may wait for the other.
            alone = model(input_ids=TOKENS).logits
    assert torch.equal(alone, expected)
    wait_for_others()

    for name, weight in whole_weights(model):
        assert torch.equal(weight, before[name])
    assert {name for name, _ in whole_weights(model)} == before.keys() - {"lm_head.weight"}

    model(input_ids=TOKENS, labels=TOKENS).loss.backward()
    assert all(type(weight).__name__ == "DTensor" and weight.grad is not None for weight in model.parameters())
    whole = whole_model(model, lambda: Qwen3ForCausalLM(CONFIG))
    if process_number() == 0:
        assert all(torch.equal(whole.state_dict()[name], weight) for name, weight in before.items())
    wait_for_others()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
