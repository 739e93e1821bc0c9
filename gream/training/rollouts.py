"""Rollouts for SRPO: groups of answers to one prompt, every answer a legal item.

Reasoning: a chain is sampled up to `</think>`, citing the history alone, then the answer through the token trie.
Direct: the answer only. Tokens that were put in rather than sampled (the answer tag, a `</think>` forced at the length
limit) carry no loss.

`Sampler` says what is sampled. Who runs the model meanwhile is its subclasses' affair: `TransformersSampler` here, and
`gream.training.vllm_sampler.VllmSampler`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from gream.decoding.answers import Answer, sample_answers
from gream.decoding.chains import Chain, sample_chains
from gream.decoding.grounding import Grounding
from gream.decoding.mask import PUT_IN, chain_code
from gream.decoding.trie import TokenTrie
from gream.policy.prompting import Prompter
from gream.training.processes import gathered


@dataclass(frozen=True)
class Task:
    """One prompt to roll out.

    Attributes:
        history: item numbers, oldest first.
        target: number of the item that followed.
        reasoning: in which mode.
    """

    history: list[int]
    target: int
    reasoning: bool


@dataclass(frozen=True)
class Rollout:
    """One sampled completion. All lists but `prompt` have its length.

    Attributes:
        prompt: token ids.
        completion: token ids.
        log_probs: of each token when it was sampled, under the mask that `nodes` name; 0 where it was put in.
        nodes: where each token was chosen, as `masked_log_probs` wants it.
        sampled: False for tokens that were put in.
        citable: numbers of the items that the chain may cite; none in direct mode.
        item: number of the answered item.
        well_formed: False where the chain had to be cut.
    """

    prompt: list[int]
    completion: list[int]
    log_probs: list[float]
    nodes: list[int]
    sampled: list[bool]
    citable: list[int]
    item: int
    well_formed: bool


@dataclass(frozen=True)
class Sampler(ABC):
    """Makes rollouts.

    Attributes:
        trie: the catalogue.
        index: index tokens of every item, by item number.
        prompter: histories to token ids.
        group_size: G.
        temperature: divides the logits, for chains and answers alike.
        max_chain_tokens: length limit of a chain, its end included.
    """

    trie: TokenTrie
    index: Sequence[Sequence[str]]
    prompter: Prompter
    group_size: int
    temperature: float
    max_chain_tokens: int

    def roll_out(self, model: Any, tasks: Sequence[Task], generator: torch.Generator) -> list[list[Rollout]]:
        """`group_size` rollouts of each task, in the order of the tasks; called while `following` holds.

        Args:
            model: a Hugging Face causal LM.
            tasks: prompts of either mode.
            generator: on the CPU; the only source of randomness.
        """
        groups: dict[int, list[Rollout]] = {}
        for reasoning in (False, True):
            places = [place for place, task in enumerate(tasks) if task.reasoning is reasoning]
            if not places:
                continue
            chosen = [tasks[place] for place in places]
            made = self._reasoning(model, chosen, generator) if reasoning else self._direct(model, chosen, generator)
            groups.update(zip(places, made, strict=True))
        return [groups[place] for place in range(len(tasks))]

    @abstractmethod
    def following(self, model: Any) -> AbstractContextManager[None]:
        """A while in which rollouts are those of the model's present weights; all processes must enter it together."""

    @abstractmethod
    def _chains(
        self, model: Any, prompts: list[list[int]], citable: list[list[int]], generator: torch.Generator
    ) -> list[list[Chain]]:
        """`group_size` chains after each prompt, of the numbers of the items that they may cite."""

    @abstractmethod
    def _answers(
        self, model: Any, prefixes: list[list[int]], samples: int, generator: torch.Generator
    ) -> list[list[Answer]]:
        """So many answers after each prefix."""

    def _direct(self, model: Any, tasks: Sequence[Task], generator: torch.Generator) -> list[list[Rollout]]:
        prompts = self.prompter.direct(self._texts(tasks))
        groups = self._answers(model, prompts, self.group_size, generator)
        return [
            [_direct_rollout(prompt, answer) for answer in answers]
            for prompt, answers in zip(prompts, groups, strict=True)
        ]

    def _reasoning(self, model: Any, tasks: Sequence[Task], generator: torch.Generator) -> list[list[Rollout]]:
        prompts = self.prompter.reasoning(self._texts(tasks))
        citable = [self.prompter.shown(task.history) for task in tasks]
        groups = self._chains(model, prompts, citable, generator)
        tag = self.prompter.answer_ids
        thought = [
            (prompt, items, chain)
            for prompt, items, chains in zip(prompts, citable, groups, strict=True)
            for chain in chains
        ]
        prefixes = [[*prompt, *chain.tokens, *tag] for prompt, _, chain in thought]
        answers = self._answers(model, prefixes, 1, generator)
        rollouts = [
            _reasoned_rollout(prompt, items, chain, tag, answer)
            for (prompt, items, chain), (answer,) in zip(thought, answers, strict=True)
        ]
        size = self.group_size
        return [rollouts[start : start + size] for start in range(0, len(rollouts), size)]

    def _texts(self, tasks: Sequence[Task]) -> list[list[str]]:
        return [["".join(self.index[item]) for item in task.history] for task in tasks]


class TransformersSampler(Sampler):
    """Runs the model that is trained, with this project's own decoder."""

    def following(self, model: Any) -> AbstractContextManager[None]:
        """See `Sampler`."""
        return gathered(model)

    def _chains(
        self, model: Any, prompts: list[list[int]], citable: list[list[int]], generator: torch.Generator
    ) -> list[list[Chain]]:
        uniforms = torch.rand(len(prompts), self.group_size, self.max_chain_tokens, generator=generator)
        grounding = Grounding.of(self.trie, citable, self.prompter.chain_tokens, model.device)
        return sample_chains(model, prompts, self.prompter.stop_id, uniforms, grounding, self.temperature)

    def _answers(
        self, model: Any, prefixes: list[list[int]], samples: int, generator: torch.Generator
    ) -> list[list[Answer]]:
        uniforms = torch.rand(len(prefixes), samples, self.trie.depth, generator=generator)
        return sample_answers(model, prefixes, self.trie, uniforms, self.temperature)


def _direct_rollout(prompt: list[int], answer: Answer) -> Rollout:
    return Rollout(
        prompt=prompt,
        completion=answer.tokens,
        log_probs=answer.log_probs,
        nodes=answer.nodes,
        sampled=[True] * len(answer.tokens),
        citable=[],
        item=answer.item,
        well_formed=True,
    )


def _reasoned_rollout(prompt: list[int], citable: list[int], chain: Chain, tag: list[int], answer: Answer) -> Rollout:
    drawn = [True] * (len(chain.tokens) - 1) + [chain.finished]
    chosen_at = [chain_code(node) if real else PUT_IN for node, real in zip(chain.nodes, drawn, strict=True)]
    return Rollout(
        prompt=prompt,
        completion=[*chain.tokens, *tag, *answer.tokens],
        log_probs=[*chain.log_probs, *[0.0] * len(tag), *answer.log_probs],
        nodes=[*chosen_at, *[PUT_IN] * len(tag), *answer.nodes],
        sampled=[*drawn, *[False] * len(tag), *[True] * len(answer.tokens)],
        citable=citable,
        item=answer.item,
        well_formed=chain.finished,
    )
