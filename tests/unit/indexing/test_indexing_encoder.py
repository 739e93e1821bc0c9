import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

from gream.errors import ConfigError
from gream.indexing.encoder import average_fields, encode_texts, mean_pool

pytestmark = pytest.mark.unit

TEXTS = ["a red nail polish", "", "nail lacquer in crimson, high gloss, fast drying, half an ounce", "a guide to chess"]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A two-layer decoder LLM whose tokenizer has no padding token."""
    words = ["<eos>", "<unk>", "red", "nail", "polish", "chess"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=6,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
    )
    folder = tmp_path_factory.mktemp("decoder")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)
    Qwen3Model(config).save_pretrained(folder)
    return folder


def test_mean_pool_ignores_padding():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]], [[5.0, 5.0], [0.0, 0.0], [1.0, 1.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    torch.testing.assert_close(mean_pool(hidden, mask), torch.tensor([[2.0, 3.0], [2.0, 2.0]]))


def test_blank_fields_are_left_out_of_the_average():
    title = np.array([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    profile = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    assert average_fields([title, profile]).tolist() == [[2.0, 2.0], [2.0, 2.0], [0.0, 0.0]]


def test_minilm_vectors_are_unit_and_near_for_near_texts():
    vectors = encode_texts(TEXTS, "minilm", batch_size=2)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1, 1], atol=1e-5)
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[3] + 0.2
    np.testing.assert_allclose(encode_texts(TEXTS, "minilm", batch_size=64), vectors, atol=1e-5)
    np.testing.assert_array_equal(encode_texts(TEXTS, "minilm", batch_size=2), vectors)


def test_a_decoder_is_pooled_over_its_last_layer(decoder):
    texts = ["red nail polish", "chess", "nail"]
    vectors = encode_texts(texts, str(decoder), batch_size=3)

    model = Qwen3Model.from_pretrained(decoder)
    for vector, ids in zip(vectors, [[2, 3, 4], [5], [3]], strict=True):
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(vector, alone.numpy(), atol=1e-5)


def test_long_texts_are_read_up_to_the_limit(decoder):
    cut, whole = (encode_texts(["red nail polish chess"], str(decoder), max_tokens=limit) for limit in (2, 4))
    np.testing.assert_allclose(cut, encode_texts(["red nail"], str(decoder)), atol=1e-6)
    assert not np.allclose(cut, whole, atol=1e-3)


def test_blank_texts_alone_are_zero(decoder):
    assert encode_texts([" ", ""], str(decoder)).tolist() == [[0.0] * 16] * 2


def test_an_unknown_encoder_is_named(tmp_path):
    with pytest.raises(ConfigError, match="'minilm' and the name or folder"):
        encode_texts(["a"], str(tmp_path / "nothing"))


def test_more_tokens_than_the_encoder_reads_are_refused():
    with pytest.raises(ConfigError, match=r"max_tokens = 1024 is more than 'minilm' reads; allowed: 512"):
        encode_texts(["short"], "minilm", max_tokens=1024)
