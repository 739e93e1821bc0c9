"""vLLM within a training process: an engine that takes over the trainer's weights, and completes prompts.

It shares the process's device with the trainer. Of several processes each has an engine with the whole model, and asks
it about its own prompts alone; vLLM calls it an external launcher that they were started, and have met, without its
doing. It starts at the first weights: by then the trainer has made the processes meet.
"""

import gc
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

# Asked before vLLM is imported: the model is to run in this process, and nothing is sent anywhere.
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
# Attention in float32 is a Triton kernel, whose products are TF32 otherwise: up to 5e-3 from the trainer (H100).
os.environ.setdefault("TRITON_F32_DEFAULT", "ieee")

import torch
from torch import Tensor, distributed
from transformers import AutoConfig
from vllm import LLM, SamplingParams
from vllm.distributed.parallel_state import destroy_model_parallel
from vllm.inputs import tokens_input
from vllm.outputs import RequestOutput
from vllm.platforms import current_platform
from vllm.sampling_params import RequestOutputKind

from gream.decoding.batching import CPU_BLOCK, ENGINE_ROWS, ENGINE_TOKENS, cache_bytes_per_token
from gream.policy.vllm_grounding import CITABLE

TOKENS_ALONE: Final = {
    "flat_logprobs": True,
    "ignore_eos": True,
    "detokenize": False,
    "output_kind": RequestOutputKind.FINAL_ONLY,
}
"""What all requests ask for: token ids and log-probabilities, at the end."""


class ColocatedEngine:
    """A vLLM in this process."""

    def __init__(self, bundle: Path, max_tokens: int, max_log_probs: int) -> None:
        """Args:
        bundle: folder of a policy, of whose shape the trainer's weights are.
        max_tokens: of the longest sequence, its prompt included.
        max_log_probs: that a request may ask for at each token.
        """
        self._bundle = bundle
        self._limits = {"max_model_len": max_tokens, "max_logprobs": max_log_probs}
        self._llm: LLM | None = None
        self._own_group = False

    def load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Take over the trainer's weights.

        Args:
            weights: all of them, whole, by their names in a checkpoint; tied ones once.
        """
        llm = self._llm or self._start()
        llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
        if current_platform.is_cpu():
            llm.apply_model(_pack_head)
        forgotten = llm.reset_prefix_cache()  # Keys and values that the weights of before have made.
        assert forgotten, "a request was still running"

    def chains(
        self,
        prompts: Sequence[list[int]],
        citable: Sequence[list[int]],
        seeds: Sequence[int],
        samples: int,
        max_tokens: int,
        temperature: float,
        stop_id: int,
    ) -> list[tuple[list[int], list[float]]]:
        """Grounded chains after P prompts, G after each.

        Args:
            prompts: token ids.
            citable: for each prompt the numbers of the items that its chains may cite.
            seeds: for each prompt; they decide what its group draws.
            samples: G.
            max_tokens: length limit of a chain, its stop token included.
            temperature: divides the logits.
            stop_id: the token that ends a chain.

        Returns:
            P x G chains in a row: token ids, the last one being the stop token except at the length limit, and the
            log-probability of each under the grounding.
        """
        params = [
            SamplingParams(
                n=samples,
                seed=seed,
                max_tokens=max_tokens,
                temperature=temperature,
                stop_token_ids=[stop_id],
                extra_args={CITABLE: items},
                logprobs=0,
                **TOKENS_ALONE,
            )
            for seed, items in zip(seeds, citable, strict=True)
        ]
        outputs = self._complete(prompts, params)
        return [(list(made.token_ids), list(made.logprobs.logprobs)) for output in outputs for made in output.outputs]

    def next_tokens(
        self, prefixes: Sequence[list[int]], legal: Sequence[list[int]], temperature: float
    ) -> list[list[float]]:
        """After each prefix the log-probabilities of its legal tokens, renormalised over them.

        Args:
            prefixes: token ids.
            legal: token ids that may follow each.
            temperature: divides the logits.
        """
        params = [
            SamplingParams(
                max_tokens=1,  # What it draws is left aside.
                temperature=temperature,
                allowed_token_ids=tokens,
                logprobs=len(tokens),
                **TOKENS_ALONE,
            )
            for tokens in legal
        ]
        found = [output.outputs[0].logprobs for output in self._complete(prefixes, params)]
        values = [dict(zip(made.token_ids, made.logprobs, strict=True)) for made in found]
        return [[known[token] for token in tokens] for known, tokens in zip(values, legal, strict=True)]

    def close(self) -> None:
        """Give back what it holds."""
        llm, self._llm = self._llm, None
        if llm is None:
            return
        if self._own_group:
            llm.llm_engine.engine_core.shutdown()
            return
        # The engine's own way to end, also once nobody holds it, would end the group of the trainer's processes too.
        llm.llm_engine.engine_core._finalizer.detach()
        llm.llm_engine.model_executor.shutdown()
        destroy_model_parallel()
        del llm
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _complete(self, prompts: Sequence[list[int]], params: Sequence[SamplingParams]) -> list[RequestOutput]:
        """What becomes of prompts, in their order."""
        assert self._llm is not None, "load weights first"
        with _trainers_generators_kept():
            outputs: list[RequestOutput] = self._llm.generate(
                [tokens_input(prompt) for prompt in prompts], list(params), use_tqdm=False
            )
        return outputs

    def _start(self) -> LLM:
        config = AutoConfig.from_pretrained(self._bundle)
        met = distributed.is_initialized()
        arguments: dict[str, Any] = {"distributed_executor_backend": "external_launcher" if met else "uni"}
        if current_platform.is_cpu():
            # What is compiled there keeps the weights that it was compiled with.
            arguments |= {"block_size": CPU_BLOCK, "enforce_eager": True}
        with _trainers_generators_kept():
            self._llm = LLM(
                model=str(self._bundle),
                dtype=config.dtype,
                logprobs_mode="processed_logprobs",
                enable_prefix_caching=True,
                # A fixed amount, whatever the trainer holds; the share only says what must be free at first.
                kv_cache_memory_bytes=ENGINE_TOKENS * cache_bytes_per_token(config, config.dtype),
                gpu_memory_utilization=0.05,
                max_num_seqs=ENGINE_ROWS,
                max_num_batched_tokens=max(4_096, self._limits["max_model_len"]),
                # Grounding needs each token of a chain before the next one is drawn.
                async_scheduling=False,
                **self._limits,
                **arguments,
            )
        # It would warn at every update of layers without weights of their own: rotations, and a head that is tied.
        logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").setLevel(logging.ERROR)
        self._own_group = not met
        return self._llm


def _trainers_generators_kept() -> AbstractContextManager[None]:
    """Leaves torch's generators as they were; vLLM seeds them when it starts, and draws from them."""
    return torch.random.fork_rng([torch.cuda.current_device()] if torch.cuda.is_available() else [])


def _pack_head(model: Any) -> None:
    """On CPUs vLLM's kernels hold a copy of each matrix in a layout of their own; a tied head's is not made anew."""
    model.lm_head.quant_method.process_weights_after_loading(model.lm_head)
