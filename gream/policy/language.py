"""The language that a policy speaks: its items, their index tokens, its prompts, and what its words mean."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray
from transformers import AutoTokenizer

from gream import columns
from gream.corpora.checks import citations
from gream.decoding.item_filter import ItemFilter
from gream.decoding.prior import ItemPrior
from gream.decoding.trie import TokenTrie
from gream.errors import RequestError
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX, ITEMS, PolicyFacts, read_facts
from gream.policy.prompting import Prompter
from gream.policy.query import Mode, Query
from gream.policy.recommendations import Recommendations, ScoredItem
from gream.policy.rendering import render_chain
from gream.policy.transition_prior import TransitionPrior


class ItemLanguage:
    """Everything of a policy but its weights; an engine that holds the weights itself needs no more.

    Attributes:
        tokenizer: with the index tokens.
        items: the items table; its row numbers are the item numbers of `trie`.
        index: item <-> index tokens.
        facts: what the policy was trained with.
        trie: the index tokens of all items, as token ids.
        prompter: makes its prompts.
        prior: transition counts that have a say in its search, by the weights in `facts`; None where it has none.
    """

    def __init__(
        self,
        tokenizer: Any,
        index: SemanticIndex,
        items: pl.DataFrame,
        facts: PolicyFacts,
        prior: TransitionPrior | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.index = index
        self.items = items
        self.facts = facts
        self.prior = prior
        self.prompter = Prompter(tokenizer, facts.prompts, facts.history_window, facts.reasoning_window)
        self._ids: list[str] = items[columns.ITEM].to_list()
        self._titles: list[str] = items[columns.TITLE].to_list()
        self._tokens = index.encode(self._ids)
        self._spelled = ["".join(tokens) for tokens in self._tokens]
        self._number = {item_id: number for number, item_id in enumerate(self._ids)}
        self._number_of_tokens = {tokens: number for number, tokens in enumerate(self._tokens)}
        self._title_of_tokens = dict(zip(self._tokens, self._titles, strict=True))
        self.trie = TokenTrie.build([tokenizer.convert_tokens_to_ids(list(tokens)) for tokens in self._tokens])

    @classmethod
    def read(cls, path: Path) -> "ItemLanguage":
        """The language of the bundle at `path`."""
        items, facts = pl.read_parquet(path / ITEMS), read_facts(path)
        return ItemLanguage(
            AutoTokenizer.from_pretrained(path),
            SemanticIndex.load(path / INDEX),
            items,
            facts,
            TransitionPrior.load(path, items.height) if facts.prior is not None else None,
        )

    def numbers(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of the items of a history.

        Raises:
            RequestError: an item is not in the catalogue.
        """
        for item_id in item_ids:
            if item_id not in self._number:
                raise RequestError(f"item {item_id!r} of the history is not in this policy's catalogue.")
        return self.known_numbers(item_ids)

    def known_numbers(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """The numbers of those items that are in the catalogue."""
        return np.array([self._number[item_id] for item_id in item_ids if item_id in self._number], dtype=np.int64)

    def direct_prompts(self, histories: Sequence[NDArray[np.int64]]) -> list[list[int]]:
        """Token ids after which the next item begins, from histories of item numbers."""
        return self.prompter.direct([self._spell(history) for history in histories])

    def reasoning_prompts(self, histories: Sequence[NDArray[np.int64]]) -> list[list[int]]:
        """Token ids after which the chain begins."""
        return self.prompter.reasoning([self._spell(history) for history in histories])

    def opinion(
        self, queries: Sequence[Query], mode: Mode, filters: Sequence[ItemFilter | None] = ()
    ) -> ItemPrior | None:
        """What the prior says of each query, for the search in this mode; None where there is no prior.

        Args:
            queries: what each user asks.
            mode: of the search.
            filters: of each query, where any has one.
        """
        if self.prior is None or self.facts.prior is None:
            return None
        weight = self.facts.prior.direct if mode == "direct" else self.facts.prior.reasoning
        histories, excluded = [query.history for query in queries], [query.exclude for query in queries]
        return self.prior.after(histories, weight, excluded, filters)

    def answer_prompt(self, prompt: Sequence[int], chain: Sequence[int]) -> list[int]:
        """Token ids after which the item begins in reasoning mode: the prompt, then its chain up to the stop token."""
        return [*prompt, *chain, *self.prompter.answer_ids]

    def chain_seed(self, history: NDArray[np.int64]) -> int:
        """Of the one chain that a request with this history (n,) gets."""
        return self.facts.seed + crc32(history.tobytes())

    def longest_sequence(self, max_chain_tokens: int) -> int:
        """Tokens of the longest prompt with its chain and its item."""
        lengths = (self.trie.paths(np.arange(self.trie.n_items)) >= 0).sum(axis=1)
        history = np.full(max(self.facts.history_window, self.facts.reasoning_window), int(lengths.argmax()))
        (direct,) = self.direct_prompts([history])
        (reasoning,) = self.reasoning_prompts([history])
        answer = self.answer_prompt(reasoning, [0] * max_chain_tokens)
        return max(len(direct), len(answer)) + self.trie.depth

    def chain_text(self, chain: Sequence[int]) -> str:
        """The text of a chain's token ids, without the stop token, which is their last one."""
        return self.prompter.decode(chain[:-1]).strip()

    def render(self, chain: str) -> str:
        """A chain with titles in place of index tokens."""
        return render_chain(chain, self._title_of_tokens)

    def cited(self, chain: str) -> list[str]:
        """The ids of the items that a chain cites, in order, each once."""
        numbers = [self._number_of_tokens[tokens] for tokens in citations(chain) if tokens in self._number_of_tokens]
        return [self._ids[number] for number in dict.fromkeys(numbers)]

    def recommendations(
        self, items: NDArray[np.int64], scores: NDArray[np.float32], chain: Sequence[int] | None = None
    ) -> Recommendations:
        """One row of a `Ranking` in words; entries below 0 are none.

        Args:
            items: (k,) item numbers, best first.
            scores: (k,) log-probabilities.
            chain: in reasoning mode the token ids of the chain, stop token last.
        """
        found = tuple(
            ScoredItem(self._ids[number], self._titles[number], score, self._tokens[number])
            for number, score in zip(items.tolist(), scores.tolist(), strict=True)
            if number >= 0
        )
        if chain is None:
            return Recommendations(found)
        text = self.chain_text(chain)
        return Recommendations(found, text, self.render(text))

    def _spell(self, history: NDArray[np.int64]) -> list[str]:
        return [self._spelled[number] for number in history.tolist()]
