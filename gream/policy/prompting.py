"""From histories and training examples to token ids: one place, so that training and inference cannot drift apart.

Every prompt is rendered as text and tokenised whole, here as there. The next item of a direct prompt is the
continuation of the assistant turn that already holds the user's sequence; a reasoning prompt ends with `<think>`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gream.corpora.example import Example
from gream.decoding.grounding import ChainTokens
from gream.indexing.tokens import TOKEN_PATTERN

IGNORED = -100
"""Label of positions without loss (the convention of torch's cross-entropy)."""

TOGETHER = 4_096
"""Examples that are tokenised at once: what a tokenizer says of a token takes many times the room of its id."""

Ids = Sequence[int] | NDArray[np.int32]
Shown = TypeVar("Shown")

_SENTINEL = "{content}"
_ONE_DAY = datetime(2024, 7, 26)  # A day on a calendar; no moment anywhere.


@dataclass(frozen=True, eq=False)
class EncodedExample:
    """A training example as ids; a prompter's are arrays, a sixth of what Python's numbers take.

    Attributes:
        input_ids: prompt and answer.
        labels: `input_ids` on the answer, `IGNORED` on the prompt.
    """

    input_ids: Ids
    labels: Ids


class Prompter:
    """Encodes for one tokenizer.

    Attributes:
        stop_id: the token that ends a chain (`</think>`).
        answer_ids: what follows the chain, before the item (`<answer>`).
        chain_tokens: what in a chain is a citation, and what must not stand in it.
        answer_end_ids: what follows the item in reasoning mode (`</answer>` and the end of the turn).
    """

    def __init__(self, tokenizer: Any, prompts: dict[str, Any], history_window: int, reasoning_window: int) -> None:
        """Args:
        tokenizer: from `gream.policy.tokenizer`, chat template included.
        prompts: the content of `gream/prompts/policy.toml`, of this version or the one that a bundle was trained on.
        history_window: most recent items that a direct prompt holds.
        reasoning_window: the same for reasoning prompts.
        """
        self.tokenizer = tokenizer
        self._direct: str = prompts["direct"]["prompts"][0]
        self._reasoning: dict[str, str] = prompts["reasoning"]
        self._system: str = prompts["system"]
        self._history_window = history_window
        self._reasoning_window = reasoning_window
        self._head, self._tail = self._render()
        (self.stop_id,) = self.encode([self._reasoning["think_close"]])[0]
        marks = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
        index_ids = {number for token, number in tokenizer.get_vocab().items() if TOKEN_PATTERN.fullmatch(token)}
        self.chain_tokens = ChainTokens(sorted(index_ids), sorted(marks - index_ids - {self.stop_id}))
        self.answer_ids = self.encode([self._reasoning["answer_open"]])[0]
        self.answer_end_ids = [*self.encode([self._reasoning["answer_close"]])[0], tokenizer.eos_token_id]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, without anything added."""
        if not texts:  # The library's tokenizers look at the first text.
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens included."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def direct(self, histories: Sequence[Sequence[str]]) -> list[list[int]]:
        """Prompts after which the next item begins.

        Args:
            histories: for each row the index of each item (its tokens as one string), oldest first. An empty history
                is allowed: what follows is then what users begin with.
        """
        return self.encode(
            [self._turn(self._direct) + "".join(history[-self._history_window :]) for history in histories]
        )

    def reasoning(self, histories: Sequence[Sequence[str]]) -> list[list[int]]:
        """Prompts after which the chain begins; see `direct`."""
        turns = [
            self._turn(self._reasoning["prompt"].format(history="".join(self.shown(history)))) for history in histories
        ]
        return self.encode([turn + self._reasoning["think_open"] for turn in turns])

    def shown(self, history: Sequence[Shown]) -> list[Shown]:
        """The part of a history that a reasoning prompt holds."""
        return list(history[-self._reasoning_window :])

    def examples(self, examples: Sequence[Example]) -> list[EncodedExample]:
        """Training examples with the loss on the assistant turn only.

        A `seqrec` turn does not end, since its sequence is only cut there; every other turn ends with the end token.
        """
        return [
            encoded
            for start in range(0, len(examples), TOGETHER)
            for encoded in self._encoded(examples[start : start + TOGETHER])
        ]

    def _encoded(self, examples: Sequence[Example]) -> Iterator[EncodedExample]:
        prompts = self.encode([self._turn(example.prompt) for example in examples])
        answers = self.encode([example.answer for example in examples])
        for example, prompt, answer in zip(examples, prompts, answers, strict=True):
            target = answer if example.task == "seqrec" else [*answer, self.tokenizer.eos_token_id]
            input_ids = np.array([*prompt, *target], dtype=np.int32)
            labels = input_ids.copy()
            labels[: len(prompt)] = IGNORED
            yield EncodedExample(input_ids, labels)

    def _turn(self, content: str) -> str:
        return self._head + content.strip() + self._tail

    def _render(self) -> tuple[str, str]:
        """What the chat template puts before and after the user's words, up to where the assistant's begin."""
        system = [{"role": "system", "content": self._system}] if self._system else []
        text: str = self.tokenizer.apply_chat_template(
            [*system, {"role": "user", "content": _SENTINEL}],
            add_generation_prompt=True,
            tokenize=False,
            strftime_now=_ONE_DAY.strftime,  # Some templates tell the date: tomorrow's prompts must be those learnt.
        )
        head, _, tail = text.partition(_SENTINEL)
        return head, tail
