import copy

import pytest
from transformers import AutoTokenizer

from gream.errors import ConfigError
from gream.policy.tokenizer import answer_tags, extend_tokenizer, train_tokenizer

pytestmark = pytest.mark.unit


def test_index_tokens_and_tags_are_one_token_each(tokenizer, index_tokens):
    ids = tokenizer([*index_tokens, *answer_tags()], add_special_tokens=False)["input_ids"]
    assert {len(one) for one in ids} == {1}
    assert len({one[0] for one in ids}) == len(index_tokens) + 4


def test_the_chat_format_is_chatml_at_one_token_a_header(tokenizer):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == ("<|im_start|>user\nHi<|im_end|><|im_start|>assistant\nHo<|im_end|><|im_start|>assistant\n")
    assert tokenizer.tokenize("<|im_start|>user\n<|im_end|><|im_start|>assistant\n") == [
        "<|im_start|>user\n",
        "<|im_end|>",
        "<|im_start|>assistant\n",
    ]
    assert tokenizer.eos_token == "<|im_end|>"


@pytest.mark.parametrize("text", ["plain words", "Amélie, 東京 🙂\n\ttabs", "<|a_99|> is no token here"])
def test_any_text_comes_back(tokenizer, text):
    (ids,) = tokenizer([text], add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_merges_are_not_spent_on_index_tokens():
    tokenizer = train_tokenizer(["<|a_1|><|b_1|><think>word word</think>"] * 50, 400, ["<|a_1|>", "<|b_1|>"])
    learned = [token for token in tokenizer.get_vocab() if "<" in token]
    headers = ["<|pad|>", "<|im_end|>", "<|im_start|>user\n", "<|im_start|>assistant\n"]
    assert set(learned) == {"<", "<|a_1|>", "<|b_1|>", *headers, *answer_tags()}
    assert tokenizer.tokenize(" word") == ["Ġword"]


def test_a_vocabulary_without_room_is_refused():
    with pytest.raises(ConfigError, match=r"model\.vocabulary = 200 is too small"):
        train_tokenizer(["text"], 200, [])


def test_extending_keeps_what_was_there(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    before = tokenizer.get_vocab()
    extended = extend_tokenizer(AutoTokenizer.from_pretrained(tmp_path), ["<|a_1|>", "<|i_7|>"])
    added = {token: number for token, number in extended.get_vocab().items() if token not in before}
    assert added == {"<|i_7|>": len(before)}
    assert {token: extended.get_vocab()[token] for token in before} == before


def test_a_tokenizer_without_chat_template_is_refused(tokenizer):
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    with pytest.raises(ConfigError, match="has no chat template"):
        extend_tokenizer(plain, [])
