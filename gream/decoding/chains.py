"""Reasoning chains: sampling up to `</think>` (the first phase of reasoning mode), citing the history alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gream.decoding.batching import budget_of, decoding, length_batches
from gream.decoding.draw import draw
from gream.decoding.forward import Positions
from gream.decoding.grounding import Grounding
from gream.decoding.head import next_logits
from gream.decoding.prefill import read_prompts
from gream.decoding.trie import ROOT
from gream.errors import RequestError


@dataclass(frozen=True)
class Chain:
    """One sampled chain.

    Attributes:
        tokens: the chain's token ids; the last one is always the stop token.
        log_probs: of each token in the grounded distribution at the sampling temperature, before any nucleus cut (the
            convention of TRL's trainer); 0 for a forced stop token.
        nodes: the grounding's state at which each token was chosen; the root for a forced stop token.
        finished: False where the stop token had to be forced at the length limit.
        unaided: log-probability that, drawn token by token without the grounding, nothing else had been chosen than
            what it allows: how far the model cites its history by itself; NaN where nobody has taken it.
    """

    tokens: list[int]
    log_probs: list[float]
    nodes: list[int]
    finished: bool
    unaided: float


def sample_chains(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop_id: int,
    uniforms: Tensor,
    grounding: Grounding,
    temperature: float = 1.0,
    top_p: float = 1.0,
    token_budget: int = 0,
    observe: Callable[[list[int], list[int]], None] | None = None,
    progress: str = "",
) -> list[list[Chain]]:
    """Sample G chains after each of P prompts.

    A prompt is read once for its G chains, and rows that have finished leave the batch when they are a quarter of it.

    Args:
        model: a Hugging Face causal LM.
        prompts: P lists of token ids.
        stop_id: the token that ends a chain.
        uniforms: (P, G, T) numbers in [0, 1), one for each token that may be drawn; T is the length limit, stop token
            included. `torch.rand(P, G, T, generator=generator)` makes them.
        grounding: P rows, what each prompt's chains may cite.
        temperature: divides the logits.
        top_p: nucleus, see `draw`.
        token_budget: see `length_batches`; 0 is what suits the model's device.
        observe: called after each step with the numbers of the chains that grew (prompt x G + sample) and the tokens
            they grew by, stop tokens left out.
        progress: see `length_batches`.

    Returns:
        For each prompt its G chains. They depend on the row's own numbers alone, not on the batch.

    Raises:
        RequestError: a prompt is empty, or `uniforms` or `grounding` does not fit the prompts.
    """
    if uniforms.dim() != 3 or len(uniforms) != len(prompts) or not uniforms.shape[2]:
        raise RequestError(
            f"uniforms must have the shape (prompts, samples, max_tokens) = ({len(prompts)}, >= 1, >= 1), "
            f"not {tuple(uniforms.shape)}."
        )
    if len(grounding.paths) != len(prompts):
        raise RequestError(f"grounding must have one row for each of the {len(prompts)} prompts.")
    _, samples, limit = uniforms.shape
    chains: list[list[Chain]] = [[] for _ in prompts]
    with decoding(model):
        for rows in length_batches(
            prompts, token_budget or budget_of(model), extra=limit, copies=samples, progress=progress
        ):
            chosen = torch.from_numpy(rows)
            batch = _Batch(model, [prompts[row] for row in rows], uniforms[chosen], grounding.select(chosen))
            numbers = (chosen[:, None] * samples + torch.arange(samples)).flatten()
            sampled = batch.run(stop_id, temperature, top_p, observe and partial(_report, observe, numbers))
            for place, row in enumerate(rows):
                chains[row] = sampled[place * samples : (place + 1) * samples]
    return chains


def _report(observe: Callable[[list[int], list[int]], None], numbers: Tensor, rows: Tensor, tokens: Tensor) -> None:
    """Tell `observe` of rows of a batch, by the numbers of their chains."""
    observe(numbers[rows.cpu()].tolist(), tokens.tolist())


class _Batch:
    """One batch while it is sampled; the state holds the rows (prompts x samples at first) that have not left it."""

    def __init__(self, model: Any, prompts: list[Sequence[int]], uniforms: Tensor, grounding: Grounding) -> None:
        read = read_prompts(model, prompts)
        samples = uniforms.shape[1]
        self._model = model
        self._cache = read.cache
        self._cache.batch_repeat_interleave(samples)
        self._mask = read.mask.repeat_interleave(samples, dim=0)
        self._position = self._mask.sum(dim=1)
        self._logits: Tensor = read.logits[:, -1].repeat_interleave(samples, dim=0)
        self._uniforms = uniforms.flatten(0, 1).to(model.device)
        self._row = torch.arange(len(self._mask), device=model.device)
        self._grounding = grounding.select(self._row // samples)
        self._nodes = torch.full_like(self._row, ROOT)
        self._running = torch.ones_like(self._row, dtype=torch.bool)

    def run(
        self, stop_id: int, temperature: float, top_p: float, grown: Callable[[Tensor, Tensor], None] | None
    ) -> list[Chain]:
        """Sample until every row has stopped; `grown` is told of the rows that go on, and their newest tokens."""
        rows, limit = self._uniforms.shape
        tokens = torch.full((rows, limit), stop_id, device=self._row.device)
        log_probs = torch.zeros((rows, limit), device=self._row.device)
        visited = torch.full((rows, limit), ROOT, device=self._row.device)
        unaided = torch.zeros(rows, device=self._row.device)
        length = torch.full((rows,), limit, device=self._row.device)
        finished = torch.zeros_like(length, dtype=torch.bool)
        for step in range(limit):
            distribution, legal_mass = self._grounding.log_probs(self._logits, self._nodes, temperature)
            token = draw(distribution.exp(), self._uniforms[self._row, step], top_p)
            stops = self._running & (token == stop_id)
            length[self._row[stops]] = step + 1
            finished[self._row[stops]] = True
            unaided[self._row[self._running]] += legal_mass[self._running]
            kept = self._running & (stops if step == limit - 1 else True)  # The others' last token is a forced stop.
            rows_kept = self._row[kept]
            tokens[rows_kept, step] = token[kept]
            log_probs[rows_kept, step] = distribution.gather(1, token[:, None])[kept, 0]
            visited[rows_kept, step] = self._nodes[kept]
            self._running &= ~stops
            if grown is not None:
                going = kept & ~stops
                grown(self._row[going], token[going])
            if step == limit - 1 or not self._running.any():
                break
            self._advance(token)
        return [
            Chain(row[:n], values[:n], nodes[:n], done, aid)
            for row, values, nodes, n, done, aid in zip(
                *(array.tolist() for array in (tokens, log_probs, visited, length, finished, unaided)), strict=True
            )
        ]

    def _advance(self, token: Tensor) -> None:
        """Feed the chosen tokens; rows that have stopped are left behind once they are a quarter of the batch."""
        if self._running.sum() * 4 <= len(self._running) * 3:
            keep = self._running.nonzero()[:, 0]
            self._cache.batch_select_indices(keep)
            self._mask, self._position, self._row = self._mask[keep], self._position[keep], self._row[keep]
            self._running, token, self._nodes = self._running[keep], token[keep], self._nodes[keep]
            self._grounding = self._grounding.select(keep)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1), value=True)
        fed = Positions(token[:, None], self._position[:, None], self._mask)
        self._logits = next_logits(self._model, None, fed, self._cache)[:, -1]
        self._nodes = self._grounding.advance(self._nodes, token)
        self._position = self._position + 1
