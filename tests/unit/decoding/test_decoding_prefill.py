"""Prompts are read as a plain forward pass reads them, with less work."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gream.decoding.prefill import read_prompts

pytestmark = pytest.mark.unit


def read_without_gradients(model, prompts):
    with torch.no_grad():
        return read_prompts(model, prompts)


def assert_read_as_by_plain_passes(model, prompts):
    read = read_without_gradients(model, prompts)
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            plain = model(torch.tensor([prompt]), use_cache=True)
        torch.testing.assert_close(read.logits[row, 0], plain.logits[0, -1], rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(read.cache.layers, plain.past_key_values.layers, strict=True):
            torch.testing.assert_close(ours.keys[row, :, -len(prompt) :], theirs.keys[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.values[row, :, -len(prompt) :], theirs.values[0], rtol=1e-4, atol=1e-5)
    assert read.logits.shape[:2] == (4, 1)
    assert read.mask.sum(dim=1).tolist() == [4, 1, 7, 2]


def test_logits_and_cache_are_those_of_a_plain_pass_for_each_prompt(model, prompts):
    assert_read_as_by_plain_passes(model, prompts)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "gpt_neox"])
def test_other_architectures_read_as_their_plain_pass_does(family, prompts):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    heads = {} if family == "gpt_neox" else {"num_key_value_heads": 2}
    config = AutoConfig.for_model(family, vocab_size=40, initializer_range=0.3, **shape, **heads)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    assert_read_as_by_plain_passes(model, prompts)


@pytest.fixture
def widths(model):
    """(thread, positions) of each pass through the last layer's queries; another thread's pass comes first, in the
    middle of ours."""
    seen = []
    layers = model.get_decoder().layers

    def other():
        with torch.no_grad():
            model(torch.tensor([[1, 2, 3]]))

    def interrupt(_module, _inputs):
        if threading.current_thread() is threading.main_thread() and not seen:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    hooks = [
        layers[0].register_forward_pre_hook(interrupt),
        layers[-1].self_attn.q_proj.register_forward_pre_hook(
            lambda _, inputs: seen.append((threading.current_thread() is threading.main_thread(), inputs[0].shape[1]))
        ),
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def test_threads_that_read_at_the_same_time_do_not_disturb_each_other(model, prompts):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        alone = read_without_gradients(model, prompts).logits
        with ThreadPoolExecutor(2) as threads:
            for together in threads.map(lambda _: read_without_gradients(model, prompts).logits, range(200)):
                torch.testing.assert_close(together, alone)
    finally:
        sys.setswitchinterval(interval)


def test_last_layer_asks_for_one_position_of_ours_and_all_of_another_threads(model, prompts, widths):
    with torch.no_grad():
        read_prompts(model, prompts)
        model(torch.tensor([[1, 2, 3, 4]]))
    assert widths == [(False, 3), (True, 1), (True, 4)]
