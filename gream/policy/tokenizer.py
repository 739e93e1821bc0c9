"""Tokenizers in which every index token and every tag of the answer format is exactly one token."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from gream.errors import ConfigError
from gream.indexing.tokens import TOKEN_PATTERN
from gream.prompts import load_prompts

PAD = "<|pad|>"
END = "<|im_end|>"
USER = "<|im_start|>user\n"
ASSISTANT = "<|im_start|>assistant\n"

# ChatML; without a line break after <|im_end|>, which would cost a token and mean nothing.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def answer_tags() -> list[str]:
    """The tags of the answer format, `<think>` and the like."""
    reasoning = load_prompts("policy")["reasoning"]
    return [reasoning[name] for name in ("think_open", "think_close", "answer_open", "answer_close")]


def train_tokenizer(texts: Iterable[str], vocabulary: int, index_tokens: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE for a model that starts from scratch.

    The chat format is ChatML, but each turn's whole opening (`<|im_start|>user` and its line break) is one token: a
    small model should not spend positions on it.

    Args:
        texts: what to learn merges from, index tokens and tags in them skipped; any text can be encoded later.
        vocabulary: tokens before the index tokens come on top.
        index_tokens: one new token each.

    Raises:
        ConfigError: `vocabulary` has no room for the 256 bytes and the special tokens.
    """
    special = [PAD, END, USER, ASSISTANT, *answer_tags()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocabulary < len(special) + len(alphabet):
        raise ConfigError(
            f"model.vocabulary = {vocabulary} is too small: {len(special)} special tokens and {len(alphabet)} bytes "
            "must fit."
        )
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    whole = re.compile("|".join([TOKEN_PATTERN.pattern, *map(re.escape, special)]))
    bpe.train_from_iterator((whole.sub(" ", text) for text in texts), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, pad_token=PAD, eos_token=END)
    tokenizer.chat_template = CHAT_TEMPLATE
    return extend_tokenizer(tokenizer, index_tokens)


def extend_tokenizer(tokenizer: Any, index_tokens: Sequence[str]) -> Any:
    """Add index tokens, and the answer tags that are not single tokens yet, to a tokenizer (in place).

    Raises:
        ConfigError: the tokenizer has no chat template or no end token, or an index token is not one token afterwards.
    """
    if not tokenizer.chat_template or tokenizer.eos_token is None:
        raise ConfigError(
            f"the tokenizer of {tokenizer.name_or_path!r} has no chat template or no end-of-turn token: choose an "
            "instruction-tuned backbone."
        )
    known = tokenizer.get_vocab()
    new = [token for token in dict.fromkeys([*answer_tags(), *index_tokens]) if token not in known]
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=True) for token in new], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    encoded = tokenizer([*answer_tags(), *index_tokens], add_special_tokens=False)["input_ids"]
    for token, ids in zip([*answer_tags(), *index_tokens], encoded, strict=True):
        if len(ids) != 1:
            raise ConfigError(f"{token!r} is {len(ids)} tokens instead of one in {tokenizer.name_or_path!r}.")
    return tokenizer
