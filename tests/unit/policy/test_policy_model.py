import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gream.config import ModelConfig
from gream.errors import ConfigError
from gream.policy.model import build_backbone, build_tokenizer

pytestmark = pytest.mark.unit

IDS = torch.tensor([[5, 6, 7, 8]])


def test_weights_depend_on_the_seed_alone(profile, tokenizer):
    before = torch.random.get_rng_state()
    first, again, other = (build_backbone(profile.model, tokenizer, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    weights = [model.get_input_embeddings().weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_row_for_every_token_and_tied_embeddings(profile, tokenizer):
    model = build_backbone(profile.model, tokenizer, 0)
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 32)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_dropout_acts_in_training_and_is_not_exported(profile, tokenizer, tmp_path):
    config = profile.model.model_copy(update={"dropout": 0.5})
    model = build_backbone(config, tokenizer, 0)
    with torch.no_grad():
        model.train()
        assert not torch.equal(model(IDS).logits, model(IDS).logits)
        model.eval()
        quiet = model(IDS).logits
        model.save_pretrained(tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
        torch.testing.assert_close(loaded(IDS).logits, quiet)
        loaded.train()
        torch.testing.assert_close(loaded(IDS).logits, quiet)
    assert loaded.config.architectures == ["Qwen3ForCausalLM"]


def test_sizes_that_do_not_fit_are_refused(profile, tokenizer):
    config = profile.model.model_copy(update={"heads": 3})
    with pytest.raises(ConfigError, match=r"model\.hidden_size = 32 must be an even multiple of model\.heads = 3"):
        build_backbone(config, tokenizer, 0)


@pytest.fixture(scope="module")
def pretrained(profile, tokenizer, tmp_path_factory):
    """A folder that plays the pretrained backbone."""
    folder = tmp_path_factory.mktemp("pretrained")
    build_backbone(profile.model, tokenizer, 9).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_pretrained_model_gets_rows_for_new_tokens_only(pretrained, tokenizer):
    config = ModelConfig(backbone=str(pretrained))
    new = [f"<|i_{number}|>" for number in range(1, 41)]
    extended = build_tokenizer(config, [], new)
    assert len(extended) == len(tokenizer) + 40
    model, again = (build_backbone(config, extended, seed=2) for _ in range(2))
    old = AutoModelForCausalLM.from_pretrained(pretrained).get_input_embeddings().weight
    rows = model.get_input_embeddings().weight
    assert torch.equal(rows[: len(old)], old)
    assert torch.equal(rows, again.get_input_embeddings().weight)
    assert model.get_output_embeddings().weight is rows
    drawn = rows[len(old) :]
    assert len(drawn.unique(dim=0)) == 40
    assert drawn.norm(dim=1).mean().item() == pytest.approx(old.norm(dim=1).mean().item(), rel=0.1)


def test_a_backbone_that_is_not_there_is_named(pretrained, tmp_path):
    missing = ModelConfig(backbone=str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="nothing' has no tokenizer that can be loaded"):
        build_tokenizer(missing, [], [])
    with pytest.raises(ConfigError, match="nothing' cannot be loaded"):
        build_backbone(missing, AutoTokenizer.from_pretrained(pretrained), 0)


def test_dropout_is_for_the_scratch_backbone(pretrained, tokenizer):
    with pytest.raises(ConfigError, match=r"model\.dropout = 0\.1 is for backbone = 'scratch' only"):
        build_backbone(ModelConfig(backbone=str(pretrained), dropout=0.1), tokenizer, 0)
