"""Rollouts by vLLM: the same distributions as `TransformersSampler`'s, token by token, and the same log-probabilities.

A chain is one request, which vLLM batches continuously with all others and which `gream.policy.vllm_grounding` grounds.
Its random numbers are vLLM's own, by a seed for each prompt; so chains are not those that `TransformersSampler` draws,
though drawn alike.

vLLM knows no trie, so an answer's tokens are drawn here, from the log-probabilities of exactly the legal ones: one
request for one token at each place in the trie that an answer has come to, level by level, all answers together. Prefix
caching keeps what was read. The same uniform numbers give the same answers as in `gream.decoding.answers`.
"""

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gream.decoding.answers import Answer
from gream.decoding.chains import Chain
from gream.decoding.draw import draw
from gream.decoding.grounding import Grounding
from gream.decoding.trie import ROOT
from gream.training.processes import whole_weights
from gream.training.rollouts import Sampler

if TYPE_CHECKING:
    from gream.training.vllm_engine import ColocatedEngine

SEEDS: Final = 2**62


@dataclass(frozen=True)
class VllmSampler(Sampler):
    """Runs a vLLM in this process, which takes over the weights of the model that is trained.

    Attributes:
        engine: of the policy that training began with.
    """

    engine: "ColocatedEngine"

    def following(self, model: Any) -> AbstractContextManager[None]:
        """See `Sampler`."""
        self.engine.load(whole_weights(model))
        return nullcontext()

    def _chains(
        self, model: Any, prompts: list[list[int]], citable: list[list[int]], generator: torch.Generator
    ) -> list[list[Chain]]:
        del model  # The engine has its weights.
        stop, limit = self.prompter.stop_id, self.max_chain_tokens
        seeds = torch.randint(SEEDS, (len(prompts),), generator=generator).tolist()
        drawn = self.engine.chains(prompts, citable, seeds, self.group_size, limit, self.temperature, stop)
        finished = [tokens[-1] == stop for tokens, _ in drawn]
        # At the length limit the last token gives way to a forced stop.
        kept = [tokens if done else tokens[:-1] for (tokens, _), done in zip(drawn, finished, strict=True)]
        rows = [items for items in citable for _ in range(self.group_size)]
        grounding = Grounding.of(self.trie, rows, self.prompter.chain_tokens, torch.device("cpu"))
        chains = [
            _chain(tokens, log_probs, states, stop, done)
            for tokens, (_, log_probs), states, done in zip(kept, drawn, grounding.states(kept), finished, strict=True)
        ]
        return [chains[start : start + self.group_size] for start in range(0, len(chains), self.group_size)]

    def _answers(
        self, model: Any, prefixes: list[list[int]], samples: int, generator: torch.Generator
    ) -> list[list[Answer]]:
        del model
        trie = self.trie
        uniforms = torch.rand(len(prefixes), samples, trie.depth, generator=generator).flatten(0, 1)
        count = len(uniforms)
        tokens: list[list[int]] = [[] for _ in range(count)]
        nodes, log_probs = [[ROOT] for _ in range(count)], [list[float]() for _ in range(count)]
        for level in range(trie.depth):
            rows = [row for row in range(count) if trie.item_of_node[nodes[row][-1]] < 0]
            if not rows:
                break
            places = [(row // samples, nodes[row][-1]) for row in rows]
            texts = {place: [*prefixes[place[0]], *tokens[row]] for place, row in zip(places, rows, strict=True)}
            found = dict(zip(texts, self._next(list(texts.values()), [node for _, node in texts]), strict=True))
            legal = pad_sequence([found[place] for place in places], batch_first=True, padding_value=-torch.inf)
            for row, chosen, values in zip(rows, draw(legal.exp(), uniforms[rows, level]).tolist(), legal, strict=True):
                node = int(trie.first_child[nodes[row][-1]]) + chosen
                tokens[row].append(int(trie.token[node]))
                nodes[row].append(node)
                log_probs[row].append(values[chosen].item())
        answers = [
            Answer(int(trie.item_of_node[path[-1]]), spelled, path[:-1], gains)
            for path, spelled, gains in zip(nodes, tokens, log_probs, strict=True)
        ]
        return [answers[start : start + samples] for start in range(0, count, samples)]

    def _next(self, prefixes: list[list[int]], nodes: list[int]) -> list[Tensor]:
        """Log-probabilities of the children of the nodes that prefixes have led to; no question where there is one."""
        first = self.trie.first_child
        legal = [self.trie.token[first[node] : first[node + 1]].tolist() for node in nodes]
        asked = [place for place, tokens in enumerate(legal) if len(tokens) > 1]
        answered = self.engine.next_tokens(
            [prefixes[place] for place in asked], [legal[place] for place in asked], self.temperature
        )
        found = [torch.zeros(len(tokens)) for tokens in legal]
        for place, values in zip(asked, answered, strict=True):
            found[place] = torch.tensor(values)
        return found


def _chain(tokens: list[int], log_probs: list[float], nodes: list[int], stop: int, finished: bool) -> Chain:
    """A chain as `gream.decoding.chains` makes it; where it was cut, the last log-probability is of what gave way."""
    if finished:
        return Chain(tokens, log_probs, nodes, finished, unaided=math.nan)
    return Chain([*tokens, stop], [*log_probs[:-1], 0.0], [*nodes, ROOT], finished, unaided=math.nan)
