"""The policy as its users see it: histories of item ids in, ranked items (and the reasoning) out."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from gream.artifacts import open_artifact
from gream.decoding.answers import sample_answers
from gream.decoding.beam import beam_search
from gream.decoding.chains import Chain, sample_chains
from gream.decoding.grounding import Grounding
from gream.decoding.item_filter import ItemFilter
from gream.decoding.score import score_all
from gream.errors import ArtifactError, RequestError
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import KIND, PolicyFacts
from gream.policy.language import ItemLanguage
from gream.policy.model import ATTENTION
from gream.policy.query import Mode, Query
from gream.policy.recommendations import ReasonedAnswer, Recommendations
from gream.policy.transition_prior import PriorWeights, TransitionPrior

PORTION: Final = 1_024
"""Queries whose priors are made at a time: in a dense shop each holds thousands of items."""


class Policy(ItemLanguage):
    """A trained policy: an item language, and the model that speaks it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        index: SemanticIndex,
        items: pl.DataFrame,
        facts: PolicyFacts,
        prior: TransitionPrior | None = None,
    ) -> None:
        super().__init__(tokenizer, index, items, facts, prior)
        self.model = model

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
        spoken = ItemLanguage.read(path)
        return cls(model.eval(), spoken.tokenizer, spoken.index, spoken.items, spoken.facts, spoken.prior)

    def with_prior(self, prior: TransitionPrior, weights: PriorWeights) -> "Policy":
        """The same policy, searched with this prior."""
        return self._searched_with(prior, weights)

    def without_prior(self) -> "Policy":
        """The same policy, searched without its prior."""
        return self._searched_with(None, None)

    def _searched_with(self, prior: TransitionPrior | None, weights: PriorWeights | None) -> "Policy":
        """A copy that shares everything else: the language of a large shop is long in the making."""
        other = copy.copy(self)
        other.prior, other.facts = prior, self.facts.model_copy(update={"prior": weights})
        return other

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
        luck: Sequence[Sequence[str]] | None = None,
    ) -> list[Recommendations]:
        """The k best items for each user; see `answer`.

        Args:
            histories: item ids, oldest first; only the most recent ones fit into the prompt.
            k: items for each user; fewer come back only where the catalogue has fewer that are not excluded.
            mode: whether to reason before answering.
            excludes: item ids that must not come back, for each user; ids that the catalogue lacks are none anyway.
            beams: width of the search, by default the bundle's.
            progress: what a progress bar is called; none is shown where it is empty.
            luck: for each user the history whose random numbers the chain is sampled with, by default the user's own:
                what two histories change in an answer is seen with the same ones.

        Raises:
            RequestError: an item of a history is not in the catalogue, or an argument is out of range.
        """
        if mode not in get_args(Mode):
            raise RequestError(f"mode must be one of {', '.join(get_args(Mode))}, not {mode!r}.")
        drawn = None if luck is None else [self.numbers(history) for history in luck]
        return self.answer(self.queries(histories, k, excludes), mode, beams, luck=drawn, progress=progress)

    def answer(
        self,
        queries: Sequence[Query],
        mode: Mode,
        beams: int | None = None,
        observe: Callable[[list[int], list[int]], None] | None = None,
        progress: str = "",
        luck: Sequence[NDArray[np.int64]] | None = None,
        filters: Sequence[ItemFilter | None] = (),
    ) -> list[Recommendations]:
        """The best items for each query; up to rounding, what else is in the batch does not change an answer.

        In reasoning mode one chain is sampled for each user, with random numbers that follow from the history: the same
        in every call, and others for each history, so that over many users luck evens out. The items are a beam over
        that one chain.

        Args:
            queries: what each user asks.
            mode: whether to reason before answering.
            beams: width of the search, by default the bundle's.
            observe: told of the chains while they grow, see `sample_chains`.
            progress: what a progress bar is called; none is shown where it is empty.
            luck: as for `recommend_batch`, in item numbers.
            filters: of each query, where any has one.

        Raises:
            RequestError: a `k` is below 1, an item number outside the catalogue, or `luck` does not fit the queries.
        """
        prompts, chains = self.answer_prompts(queries, mode, observe, progress, luck)
        found = self.rank(prompts, queries, beams, progress, mode, filters)
        return [self.recommendations(*best, chain) for best, chain in zip(found, chains, strict=True)]

    def answer_prompts(
        self,
        queries: Sequence[Query],
        mode: Mode,
        observe: Callable[[list[int], list[int]], None] | None = None,
        progress: str = "",
        luck: Sequence[NDArray[np.int64]] | None = None,
    ) -> tuple[list[list[int]], list[list[int] | None]]:
        """For each query the token ids that an answer follows, and those of the chain among them, if there is one; the
        arguments are as for `answer`."""
        histories = [query.history for query in queries]
        if mode == "direct":
            return self.direct_prompts(histories), [None] * len(queries)
        prompts, rows = self._reason(histories, self._one_chain(histories if luck is None else luck), progress, observe)
        chains = [chain.tokens for (chain,) in rows]
        return [self.answer_prompt(*both) for both in zip(prompts, chains, strict=True)], list(chains)

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

        The answers are the policy's own: its prior is not asked.

        Args:
            histories: as for `recommend_batch`.
            chains: chains for each user.
            seed: of the chains, and of sampled answers.
            excludes: as for `recommend_batch`.
            answer: `best` takes the most probable item that a beam finds after the chain; `sample` draws it at the
                chain's temperature and top-p, as free generation would (the paper's way), among legal items only.
            beams: as for `recommend_batch`; `sample` does not use it.
            progress: as for `recommend_batch`.

        Raises:
            RequestError: an item of a history is not in the catalogue, or an argument is out of range.
        """
        if chains < 1:
            raise RequestError(f"chains must be at least 1, not {chains}.")
        generator = torch.Generator().manual_seed(seed)
        uniforms = torch.rand(len(histories), chains, self.facts.max_chain_tokens, generator=generator)
        queries = self.queries(histories, 1, excludes)
        prompts, sampled = self._reason([query.history for query in queries], uniforms, progress)
        repeated = [query for query in queries for _ in range(chains)]
        prefixes = [
            self.answer_prompt(prompt, chain.tokens)
            for prompt, row in zip(prompts, sampled, strict=True)
            for chain in row
        ]
        if answer == "best":
            numbers = [int(items[0]) for items, _ in self.rank(prefixes, repeated, beams, progress)]
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
                self.facts.chain_top_p,
                [query.exclude for query in repeated],
                progress=progress,
            )
            numbers = [only.item for (only,) in answers]
        items = iter(numbers)
        return [
            [
                ReasonedAnswer(
                    self._ids[next(items)], self.chain_text(chain.tokens), chain.finished, math.exp(chain.unaided)
                )
                for chain in row
            ]
            for row in sampled
        ]

    def queries(
        self, histories: Sequence[Sequence[str]], k: int, excludes: Sequence[Sequence[str]] | None
    ) -> list[Query]:
        """Requests in item numbers; the arguments are as for `recommend_batch`.

        Raises:
            RequestError: an item of a history is not in the catalogue, or there are not as many excludes as histories.
        """
        left_out = [()] * len(histories) if excludes is None else excludes
        if len(left_out) != len(histories):
            raise RequestError(f"excludes must have one entry for each of {len(histories)} users, not {len(left_out)}.")
        return [
            Query(self.numbers(history), k, self.known_numbers(exclude))
            for history, exclude in zip(histories, left_out, strict=True)
        ]

    def rank(
        self,
        prompts: Sequence[Sequence[int]],
        queries: Sequence[Query],
        beams: int | None,
        progress: str,
        prior: Mode | None = None,
        filters: Sequence[ItemFilter | None] = (),
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Item numbers and scores of each query's `k` best items, as a `Ranking` has them.

        Queries that want more than the beams are searched apart, in the width that each would have alone.

        Args:
            prompts: what the answer to each query follows, see `answer_prompts`.
            queries: what each user asks.
            beams: as for `answer`.
            progress: as for `answer`.
            prior: the mode in whose weight the prior is asked; None does not ask it.
            filters: as for `answer`.

        Raises:
            RequestError: a `k` is below 1.
        """
        if small := [query.k for query in queries if query.k < 1]:
            raise RequestError(f"k must be at least 1, not {small[0]}.")
        least, most = self.facts.beams if beams is None else beams, self.trie.n_items
        widths = np.array([min(max(least, query.k), most) for query in queries], dtype=np.int64)
        found: dict[int, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}
        for width, rows in _in_portions(widths):
            asked, filtered = [queries[row] for row in rows], [filters[row] for row in rows] if filters else []
            ranking = beam_search(
                self.model,
                [prompts[row] for row in rows],
                self.trie,
                k=min(max(query.k for query in asked), most),
                beams=width,
                exclude=[query.exclude for query in asked],
                prior=self.opinion(asked, prior, filtered) if prior is not None else None,
                progress=progress,
                filters=filtered,
            )
            for place, row in enumerate(rows):
                k = queries[row].k
                found[row] = ranking.items[place, :k], ranking.scores[place, :k]
        return [found[row] for row in range(len(queries))]

    def score_all(self, history: Sequence[str]) -> dict[str, float]:
        """Log-probability of every item as the next one, in direct mode; their exponentials sum to 1.

        Raises:
            RequestError: an item of the history is not in the catalogue.
        """
        (query,) = self.queries([history], 1, None)
        (prompt,) = self.direct_prompts([query.history])
        scores = score_all(self.model, prompt, self.trie)
        opinion = self.opinion([query], "direct")
        if opinion is not None:
            scores = opinion.add_to(0, scores)
        return dict(zip(self._ids, scores.tolist(), strict=True))

    def _one_chain(self, histories: Sequence[NDArray[np.int64]]) -> torch.Tensor:
        """(B, 1, tokens) random numbers for one chain after each history, the same in every call."""
        seeds = [self.chain_seed(history) for history in histories]
        rows = [
            torch.rand(1, self.facts.max_chain_tokens, generator=torch.Generator().manual_seed(seed)) for seed in seeds
        ]
        return torch.stack(rows) if rows else torch.empty(0, 1, self.facts.max_chain_tokens)

    def _reason(
        self,
        histories: Sequence[NDArray[np.int64]],
        uniforms: torch.Tensor,
        progress: str,
        observe: Callable[[list[int], list[int]], None] | None = None,
    ) -> tuple[list[list[int]], list[list[Chain]]]:
        prompts = self.reasoning_prompts(histories)
        shown = [self.prompter.shown(history.tolist()) for history in histories]
        chains = sample_chains(
            self.model,
            prompts,
            self.prompter.stop_id,
            uniforms,
            Grounding.of(self.trie, shown, self.prompter.chain_tokens, self.model.device),
            self.facts.chain_temperature,
            self.facts.chain_top_p,
            observe=observe,
            progress=progress,
        )
        return prompts, chains


def _in_portions(widths: NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
    """Rows of one width each, `PORTION` at most."""
    for width in np.unique(widths).tolist():
        rows = np.flatnonzero(widths == width).tolist()
        for start in range(0, len(rows), PORTION):
            yield width, rows[start : start + PORTION]


def _local_folder(uri: str | Path) -> Path:
    parts = urlsplit(str(uri))
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if "://" in str(uri):
        raise ArtifactError(f"{uri}: a policy is loaded from a folder or a file:// URI; copy the bundle there first.")
    return Path(uri)
