"""Prompts are read as a plain forward pass reads them, with less work."""

import copy

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gream.decoding.prefill import WORTH_SHARING, least_saved, read_prompts
from gream.errors import ArtifactError

pytestmark = pytest.mark.unit


def read_without_gradients(model, prompts):
    with torch.no_grad():
        return read_prompts(model, prompts)


def assert_read_as_by_plain_passes(model, prompts):
    read = read_without_gradients(model, prompts)
    assert read.logits.shape[:2] == (len(prompts), 1)
    for row, prompt in enumerate(prompts):
        with torch.no_grad():
            plain = model(torch.tensor([prompt]), use_cache=True)
        kept = read.mask[row]
        assert kept.sum() == len(prompt)
        torch.testing.assert_close(read.logits[row, 0], plain.logits[0, -1], rtol=1e-4, atol=1e-5)
        for ours, theirs in zip(read.cache.layers, plain.past_key_values.layers, strict=True):
            torch.testing.assert_close(ours.keys[row][:, kept], theirs.keys[0], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(ours.values[row][:, kept], theirs.values[0], rtol=1e-4, atol=1e-5)


def test_a_model_that_computes_no_numbers_is_not_asked_on(model):
    damaged = copy.deepcopy(model)
    with torch.no_grad():
        damaged.get_input_embeddings().weight[7, 3] = torch.nan
    with pytest.raises(ArtifactError, match="not numbers: its weights are damaged"):
        read_without_gradients(damaged, [[3, 7], [3, 4]])


@pytest.fixture
def family_of(request):
    """An untrained model of some architecture."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    heads = {} if request.param == "gpt_neox" else {"num_key_value_heads": 2}
    config = AutoConfig.for_model(request.param, vocab_size=40, initializer_range=0.3, **shape, **heads)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def begun_alike(prompts, common):
    return [[*(1 + place % 30 for place in range(common)), *prompt] for prompt in prompts]


def test_logits_and_cache_are_those_of_a_plain_pass_for_each_prompt(model, prompts):
    assert_read_as_by_plain_passes(model, prompts)


@pytest.mark.parametrize("family_of", ["qwen3", "gpt_neox"], indirect=True)
@pytest.mark.parametrize("common", [0, WORTH_SHARING // 3 + 1])
def test_architectures_of_either_kind_read_as_their_plain_pass_does(family_of, prompts, common):
    assert_read_as_by_plain_passes(family_of, begun_alike(prompts, common) if common else prompts)


@pytest.fixture
def passes(model):
    """(rows, positions) of each pass through the first layer."""
    seen = []
    first = model.get_decoder().layers[0].mlp.act_fn  # Products are taken past their modules.
    hook = first.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[:2])))
    yield seen
    hook.remove()


def test_what_all_prompts_begin_with_is_read_once(model, prompts, passes):
    common = WORTH_SHARING // 3 + 1
    read_without_gradients(model, begun_alike(prompts, common))
    assert passes == [(1, common), (4, 7)]


def test_too_little_in_common_is_read_with_the_rest(model, prompts, passes):
    common = WORTH_SHARING // 3
    read_without_gradients(model, begun_alike(prompts, common))
    assert passes == [(4, common + 7)]


def test_the_last_token_of_each_prompt_is_its_own_even_if_all_are_alike(model, passes):
    length = WORTH_SHARING // 2 + 1
    prompt = [1 + place % 30 for place in range(length)]
    assert_read_as_by_plain_passes(model, [prompt, [*prompt, 2], prompt])
    assert passes[:2] == [(1, length - 1), (3, 2)]


@pytest.fixture
def widths(model):
    """Positions of each pass through the last layer, after its attention."""
    seen = []
    last = model.get_decoder().layers[-1].mlp.act_fn
    hook = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    yield seen
    hook.remove()


def test_last_layer_asks_for_one_position_of_ours_and_all_of_anybody_elses(model, prompts, widths):
    with torch.no_grad():
        read_prompts(model, prompts)
        model(torch.tensor([[1, 2, 3, 4]]))
    assert widths == [1, 4]


@pytest.mark.parametrize(
    ("width", "feed_forward", "least"),
    [
        (576, 1_536, 17_260),  # SmolLM2-135M: 2^36 / (4 x 576 x 576 + 3 x 576 x 1,536).
        (2_560, 9_728, 680),  # Qwen3-4B: 2^36 / (4 x 2,560 x 2,560 + 3 x 2,560 x 9,728).
        (8_192, 28_672, WORTH_SHARING),  # It would be 70.
    ],
)
def test_on_a_gpu_a_small_model_must_save_more_positions(width, feed_forward, least):
    config = AutoConfig.for_model("qwen3", hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=1)
    with torch.device("meta"):
        assert least_saved(AutoModelForCausalLM.from_config(config)) == least


def test_on_a_cpu_every_model_must_save_as_many(model):
    assert least_saved(model) == WORTH_SHARING
