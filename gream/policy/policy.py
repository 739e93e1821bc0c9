"""The policy as its users see it: histories of item ids in, ranked items (and the reasoning) out."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gream import columns
from gream.artifacts import open_artifact
from gream.decoding.answers import sample_answers
from gream.decoding.beam import Ranking, beam_search
from gream.decoding.chains import Chain, sample_chains
from gream.decoding.grounding import Grounding
from gream.decoding.score import score_all
from gream.decoding.trie import TokenTrie
from gream.errors import ArtifactError, RequestError
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX, ITEMS, KIND, PolicyFacts, read_facts
from gream.policy.model import ATTENTION
from gream.policy.prompting import Prompter
from gream.policy.recommendations import ReasonedAnswer, Recommendations, ScoredItem
from gream.policy.rendering import render_chain

Mode = Literal["direct", "reasoning"]


class Policy:
    """A trained policy with its catalogue.

    Attributes:
        items: the items table; its row numbers are the item numbers of `trie`.
        index: item <-> index tokens.
        facts: what it was trained with.
        trie: the index tokens of all items, as token ids.
        prompter: makes its prompts.
    """

    def __init__(
        self, model: Any, tokenizer: Any, index: SemanticIndex, items: pl.DataFrame, facts: PolicyFacts
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.index = index
        self.items = items
        self.facts = facts
        self.prompter = Prompter(tokenizer, facts.prompts, facts.history_window, facts.reasoning_window)
        self._ids: list[str] = items[columns.ITEM].to_list()
        self._titles: list[str] = items[columns.TITLE].to_list()
        self._tokens = index.encode(self._ids)
        self._number = {item_id: number for number, item_id in enumerate(self._ids)}
        self._title_of_tokens = dict(zip(self._tokens, self._titles, strict=True))
        self.trie = TokenTrie.build([tokenizer.convert_tokens_to_ids(list(tokens)) for tokens in self._tokens])

    @classmethod
    def load(cls, uri: str | Path, device: str | None = None) -> "Policy":
        """Read a bundle.

        Args:
            uri: a folder, or its `file://` URI.
            device: where the model runs; by default the GPU where there is one.

        Raises:
            ArtifactError: no complete bundle stands there, or the URI is of another kind.
        """
        path = _local_folder(uri)
        open_artifact(path, KIND)
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model = AutoModelForCausalLM.from_pretrained(path, dtype="auto", attn_implementation=ATTENTION).to(place)
        return cls(
            model=model.eval(),
            tokenizer=AutoTokenizer.from_pretrained(path),
            index=SemanticIndex.load(path / INDEX),
            items=pl.read_parquet(path / ITEMS),
            facts=read_facts(path),
        )

    def recommend(
        self, history: Sequence[str], k: int = 10, mode: Mode = "direct", exclude: Sequence[str] = ()
    ) -> Recommendations:
        """The k best items for one user; see `recommend_batch`."""
        return self.recommend_batch([history], k, mode, [exclude])[0]

    def recommend_batch(
        self,
        histories: Sequence[Sequence[str]],
        k: int = 10,
        mode: Mode = "direct",
        excludes: Sequence[Sequence[str]] | None = None,
        beams: int | None = None,
        progress: str = "",
    ) -> list[Recommendations]:
        """The k best items for each user.

        In reasoning mode one chain is sampled for each user, with random numbers that are the same in every call: a
        user's answer does not change with the batch that it is computed in. The items are a beam over that one chain.

        Args:
            histories: item ids, oldest first; only the most recent ones fit into the prompt.
            k: items for each user; fewer come back only where the catalogue has fewer that are not excluded.
            mode: whether to reason before answering.
            excludes: item ids that must not come back, for each user; ids that the catalogue lacks are none anyway.
            beams: width of the search, by default the bundle's.
            progress: what a progress bar is called; none is shown where it is empty.

        Raises:
            RequestError: an item of a history is not in the catalogue, or an argument is out of range.
        """
        if mode not in get_args(Mode):
            raise RequestError(f"mode must be one of {', '.join(get_args(Mode))}, not {mode!r}.")
        if mode == "direct":
            prompts = self.prompter.direct(self._index_texts(histories))
            ranking = self._rank(prompts, k, excludes, beams, progress)
            return [Recommendations(self._scored(ranking, row)) for row in range(len(histories))]
        generator = torch.Generator().manual_seed(self.facts.seed)
        uniforms = torch.rand(1, 1, self.facts.max_chain_tokens, generator=generator).expand(len(histories), -1, -1)
        prompts, chains = self._reason(histories, uniforms, progress)
        ranking = self._rank(self._answer_prompts(prompts, chains), k, excludes, beams, progress)
        texts = [self.chain_text(chain) for (chain,) in chains]
        return [Recommendations(self._scored(ranking, row), text, self.render(text)) for row, text in enumerate(texts)]

    def reason_batch(
        self,
        histories: Sequence[Sequence[str]],
        chains: int,
        seed: int = 0,
        excludes: Sequence[Sequence[str]] | None = None,
        answer: Literal["best", "sample"] = "best",
        beams: int | None = None,
        progress: str = "",
    ) -> list[list[ReasonedAnswer]]:
        """Several chains for each user and one item for each chain, as Pass@K asks for (paper, section 4).

        Args:
            histories: as for `recommend_batch`.
            chains: chains for each user.
            seed: of the chains, and of sampled answers.
            excludes: as for `recommend_batch`.
            answer: `best` takes the most probable item that a beam finds after the chain; `sample` draws it at the
                chain's temperature, as free generation would (the paper's way), among legal items only.
            beams: as for `recommend_batch`; `sample` does not use it.
            progress: as for `recommend_batch`.

        Raises:
            RequestError: an item of a history is not in the catalogue, or an argument is out of range.
        """
        if chains < 1:
            raise RequestError(f"chains must be at least 1, not {chains}.")
        generator = torch.Generator().manual_seed(seed)
        uniforms = torch.rand(len(histories), chains, self.facts.max_chain_tokens, generator=generator)
        prompts, sampled = self._reason(histories, uniforms, progress)
        prefixes = self._answer_prompts(prompts, sampled)
        repeated = [row for row in excludes for _ in range(chains)] if excludes is not None else None
        if answer == "best":
            numbers = self._rank(prefixes, 1, repeated, beams, progress).items[:, 0].tolist()
            if -1 in numbers:
                raise RequestError(
                    f"user {numbers.index(-1) // chains} excludes every item: nothing is left to answer."
                )
        else:
            uniforms = torch.rand(len(prefixes), 1, self.trie.depth, generator=generator)
            answers = sample_answers(
                self.model,
                prefixes,
                self.trie,
                uniforms,
                self.facts.chain_temperature,
                self._excluded(repeated),
                progress=progress,
            )
            numbers = [only.item for (only,) in answers]
        items = iter(numbers)
        return [
            [
                ReasonedAnswer(self._ids[next(items)], self.chain_text(chain), chain.finished, math.exp(chain.unaided))
                for chain in row
            ]
            for row in sampled
        ]

    def score_all(self, history: Sequence[str]) -> dict[str, float]:
        """Log-probability of every item as the next one, in direct mode; their exponentials sum to 1.

        Raises:
            RequestError: an item of the history is not in the catalogue.
        """
        (prompt,) = self.prompter.direct(self._index_texts([history]))
        return dict(zip(self._ids, score_all(self.model, prompt, self.trie).tolist(), strict=True))

    def render(self, chain: str) -> str:
        """A chain with titles in place of index tokens."""
        return render_chain(chain, self._title_of_tokens)

    def chain_text(self, chain: Chain) -> str:
        """The text of a sampled chain, without its stop token."""
        return self.prompter.decode(chain.tokens[:-1]).strip()

    def _reason(
        self, histories: Sequence[Sequence[str]], uniforms: torch.Tensor, progress: str
    ) -> tuple[list[list[int]], list[list[Chain]]]:
        prompts = self.prompter.reasoning(self._index_texts(histories))
        shown = [[self._number[item_id] for item_id in self.prompter.shown(history)] for history in histories]
        chains = sample_chains(
            self.model,
            prompts,
            self.prompter.stop_id,
            uniforms,
            Grounding.of(self.trie, shown, self.prompter.index_ids, self.model.device),
            self.facts.chain_temperature,
            self.facts.chain_top_p,
            progress=progress,
        )
        return prompts, chains

    def _answer_prompts(self, prompts: list[list[int]], chains: list[list[Chain]]) -> list[list[int]]:
        return [
            [*prompt, *chain.tokens, *self.prompter.answer_ids]
            for prompt, row in zip(prompts, chains, strict=True)
            for chain in row
        ]

    def _rank(
        self,
        prompts: list[list[int]],
        k: int,
        excludes: Sequence[Sequence[str]] | None,
        beams: int | None,
        progress: str,
    ) -> Ranking:
        width = self.facts.beams if beams is None else beams
        return beam_search(self.model, prompts, self.trie, k, width, self._excluded(excludes), progress=progress)

    def _excluded(self, excludes: Sequence[Sequence[str]] | None) -> list[np.ndarray] | None:
        if excludes is None:
            return None
        return [
            np.array([self._number[item_id] for item_id in row if item_id in self._number], dtype=np.int64)
            for row in excludes
        ]

    def _index_texts(self, histories: Sequence[Sequence[str]]) -> list[list[str]]:
        for history in histories:
            for item_id in history:
                if item_id not in self._number:
                    raise RequestError(f"item {item_id!r} of the history is not in this policy's catalogue.")
        return [["".join(self._tokens[self._number[item_id]]) for item_id in history] for history in histories]

    def _scored(self, ranking: Ranking, row: int) -> tuple[ScoredItem, ...]:
        return tuple(
            ScoredItem(self._ids[number], self._titles[number], score, self._tokens[number])
            for number, score in zip(ranking.items[row].tolist(), ranking.scores[row].tolist(), strict=True)
            if number >= 0
        )


def _local_folder(uri: str | Path) -> Path:
    parts = urlsplit(str(uri))
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in str(uri):
        raise ArtifactError(f"{uri}: a policy is loaded from a folder or a file:// URI; copy the bundle there first.")
    return Path(uri)
