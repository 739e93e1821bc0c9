"""Grounded chains inside vLLM: a logits processor for each of its two model runners.

vLLM finds `GroundingProcessor` by the entry-point group `vllm.logits_processors`, in every process where this package
is installed, whatever model that serves; it does nothing to requests without `extra_args[CITABLE]`, and reads nothing
before the first request with it. The bundle is the folder that vLLM loaded its model from.

A chain's state is a node of the catalogue's trie, and no state is kept: within a citation stand fewer tokens than an
item has, and a citation begins with a token that stands nowhere else in one, so the state is where the last few tokens
lead to. Requests may then be moved, preempted and taken up again as the runner likes.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from vllm.v1.sample.logits_processor import LogitsProcessor as V1LogitsProcessor
from vllm.v1.sample.logits_processor import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as V2LogitsProcessor

from gream.decoding.grounding import NOTHING, Grounding, citable_paths
from gream.decoding.trie import ROOT
from gream.policy.language import ItemLanguage

CITABLE: Final = "gream_citable"
"""Entry of a request's `extra_args`: numbers of the items that its chain may cite, a list that may be empty."""

ChainRow = tuple[Tensor, float]
"""Of a chain: what it may cite, as a row of `Grounding.paths`, and the temperature that its logits are divided by."""

PADDING: Final = -1
"""Stands where a chain has fewer tokens than are looked at; vLLM's own for tokens that are not known yet."""


class GroundingProcessor(V2LogitsProcessor):
    """What vLLM makes at the entry point: the processor for the runner that asks for one, by what it hands over."""

    def __new__(cls, vllm_config: Any, *runner: Any) -> Any:
        """Args:
        vllm_config: vLLM's configuration.
        runner: `(req_states,)` from model runner V2, `(device, is_pin_memory)` from V1, which CPUs use.
        """
        made = V2GroundingProcessor if len(runner) == 1 else V1GroundingProcessor
        return made(vllm_config, *runner)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request whose `CITABLE` is no list of item numbers.

        Raises:
            ValueError: it is not.
        """
        citable = (sampling_params.extra_args or {}).get(CITABLE, [])
        if not isinstance(citable, list) or not all(isinstance(item, int) and item >= 0 for item in citable):
            raise ValueError(f"extra_args[{CITABLE!r}] must be a list of item numbers.")


class V1GroundingProcessor(V1LogitsProcessor):
    """For model runner V1 (CPUs): a request is known by its place in the batch."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        del is_pin_memory  # Nothing is copied to the device step by step.
        self._ground = _Ground(vllm_config, device)
        self._rows: dict[int, tuple[ChainRow, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """It changes which token is the likeliest."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow requests as they come, go and move."""
        process_dict_updates(self._rows, batch_update, self._admit)

    def apply(self, logits: Tensor) -> Tensor:
        """Ground the rows of chains."""
        if self._rows:
            chains, outputs = zip(*self._rows.values(), strict=True)
            recent = torch.tensor([self._recent(output) for output in outputs], device=logits.device)
            self._ground.apply(logits, list(self._rows), chains, recent)
        return logits

    def _recent(self, output: list[int]) -> list[int]:
        tail = output[-self._ground.window :]
        if PADDING in tail:
            raise RuntimeError(
                "the model runner schedules ahead of its tokens; start vLLM with async_scheduling=False."
            )
        return [PADDING] * (self._ground.window - len(tail)) + tail

    def _admit(self, params: Any, prompt: Sequence[int] | None, output: list[int]) -> tuple[ChainRow, list[int]] | None:
        """A new row, where it holds a chain, and its output so far, a list that the runner extends."""
        del prompt
        chain = self._ground.admit(params)
        return None if chain is None else (chain, output)


class V2GroundingProcessor(V2LogitsProcessor):
    """For model runner V2 (GPUs): a request keeps its slot, and its tokens lie on the device."""

    def __init__(self, vllm_config: Any, req_states: LogitsProcRequestState) -> None:
        super().__init__(vllm_config, req_states)
        self._ground = _Ground(vllm_config, req_states.device)
        self._tokens = req_states.all_token_ids
        self._chains: dict[int, ChainRow] = {}

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """Take a request into a slot; whether its logits are changed."""
        self._chains.pop(req_idx, None)
        chain = self._ground.admit(sampling_params)
        if chain is not None:
            self._chains[req_idx] = chain
        return chain is not None

    def apply(self, logits: Tensor, ctx: LogitsContext) -> Tensor:
        """Ground the rows of chains; without speculative decoding a request has one row."""
        chains = [(row, slot) for row, slot in enumerate(ctx.idx_mapping_np.tolist()) if slot in self._chains]
        if chains:
            rows, slots = (torch.tensor(part, device=logits.device) for part in zip(*chains, strict=True))
            # Looking back into the prompt is harmless: what it ends with is no index token.
            place = ctx.pos[rows].long()[:, None] + torch.arange(1 - self._ground.window, 1, device=logits.device)
            recent = self._tokens.gpu[slots[:, None], place.clamp(min=0)].long()
            self._ground.apply(logits, [row for row, _ in chains], [self._chains[slot] for _, slot in chains], recent)
        return logits


class _Ground:
    """What both processors do, given what is known of each chain and its last tokens."""

    def __init__(self, vllm_config: Any, device: torch.device) -> None:
        self._bundle = Path(vllm_config.model_config.model)
        self._device = device

    @property
    def window(self) -> int:
        """Tokens that an unfinished citation may have."""
        return max(1, self._language.trie.depth - 1)

    def admit(self, params: Any) -> ChainRow | None:
        """What is to be known of a request's chain; None where it has none."""
        citable = (params.extra_args or {}).get(CITABLE)
        if citable is None:
            return None
        # Its path alone: with all of a grounding, the whole trie would go to the device with each request.
        return citable_paths(self._language.trie, [citable], self._device)[0], params.temperature

    def apply(self, logits: Tensor, rows: Sequence[int], chains: Sequence[ChainRow], recent: Tensor) -> None:
        """Ground some rows in place.

        Args:
            logits: (B, V), before the temperature.
            rows: R numbers of rows that hold chains.
            chains: what `admit` said of them.
            recent: (R, window) last tokens of the chains.
        """
        paths, temperatures = zip(*chains, strict=True)
        padded = torch.nn.utils.rnn.pad_sequence(list(paths), batch_first=True, padding_value=NOTHING)
        grounding = self._nothing.over(padded)
        nodes = torch.full((len(rows),), ROOT, dtype=torch.long, device=logits.device)
        for tokens in recent.T:
            nodes = grounding.advance(nodes, tokens)
        temperature = torch.tensor(temperatures, dtype=torch.float32, device=logits.device)[:, None]
        chosen = torch.tensor(list(rows), device=logits.device)
        grounded, _ = grounding.log_probs(logits[chosen], nodes, temperature)
        logits[chosen] = (grounded * temperature).to(logits.dtype)  # The runner divides by it again.

    @cached_property
    def _language(self) -> ItemLanguage:
        return ItemLanguage.read(self._bundle)

    @cached_property
    def _nothing(self) -> Grounding:
        return self._grounding([[]])

    def _grounding(self, citable: Sequence[Sequence[int]]) -> Grounding:
        return Grounding.of(self._language.trie, citable, self._language.prompter.chain_tokens, self._device)
