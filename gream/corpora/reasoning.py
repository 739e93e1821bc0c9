"""Reasoning chains by reverse reasoning in five stages (paper, section 3.2).

A teacher sees a training history *and* the item that followed, and reasons as if it did not know the latter:

1. behavioural evidence: the items of the history that bear on what comes next;
2. latent preferences: what they have in common;
3. intent inference: what is wanted now, never by name;
4. recommendation: asked of a language model, since it keeps the reasoning to the point, then cut from the text;
5. denoised rewrite: the relevant part of the history in time order.

Two more stages are ours, for experiments (`corpus.reasoning_stages`): after the preferences the *conflict*, what else
this user likes that bears on nothing now; after the intent the *counterfactual*, what would be left of the preferences
without the item that says most.

Then follows the answer. Items are cited by their index, so that a chain can be checked against its history and shown
with titles. The template teacher's chains are short (about 60 tokens); what they leave out is prose.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from gream.config import PAPER_STAGES, ReasoningStage
from gream.corpora.checks import UNANSWERED, Chain, ChainAudit, chain_fault, citations
from gream.corpora.cuts import sample_steps
from gream.corpora.example import REASONING_TASK, Example
from gream.corpora.items import Item, dominant_traits
from gream.corpora.relatedness import Relatedness
from gream.corpora.texts import join_without_title
from gream.prompts import load_prompts

MINIMUM_HISTORY = 2
EVIDENCE_ITEMS = 3
PREFERENCE_TRAITS = 2
INTENT_TRAITS = 2


class Teacher(Protocol):
    """Whoever writes the chains."""

    def chains(self, histories: Sequence[Sequence[Item]], targets: Sequence[Item]) -> Sequence[Chain | None]:
        """One chain for each history (oldest item first) and the item that followed it; None where none was made."""
        ...


class TemplateTeacher:
    """Chains made of the real history: its items nearest to the target, and words that they and the target carry."""

    def __init__(
        self,
        sequences: Mapping[str, Sequence[str]],
        stages: Collection[ReasoningStage] = PAPER_STAGES,
    ) -> None:
        """Learn which items go together.

        Args:
            sequences: user -> item ids of the training part, in time order.
            stages: what the chains hold.
        """
        self._relatedness = Relatedness(sequences)
        self._stages = stages

    def chains(self, histories: Sequence[Sequence[Item]], targets: Sequence[Item]) -> list[Chain]:
        """One chain for each history (oldest item first, ending right before the target) and its target.

        Raises:
            RuntimeError: a chain fails its check, which is a mistake in this class.
        """
        behaviour = self._relatedness.scores(
            [[item.item_id for item in history] for history in histories], [target.item_id for target in targets]
        )
        chains = []
        cases = zip(histories, targets, behaviour, strict=True)
        for history, target, scores in tqdm(cases, total=len(targets), desc="reasoning chains"):
            chain = _explain(history, target, scores).only(self._stages)
            chains.append(chain)
            if fault := chain_fault(chain, history, target):
                raise RuntimeError(
                    f"the template teacher made a chain that {fault} (target {target.item_id!r}): {chain}"
                )
        return chains


def _explain(history: Sequence[Item], target: Item, behaviour: np.ndarray) -> Chain:
    wanted = set(target.categories)
    overlap = np.array(
        [len(wanted & set(item.categories)) / max(len(wanted | set(item.categories)), 1) for item in history]
    )
    # Behaviour and categories have different scales, so each is measured against its best in this history.
    related = behaviour / max(behaviour.max(), 1e-12) + overlap / max(overlap.max(), 1e-12)
    latest = {item.item_id: place for place, item in enumerate(history)}  # an item bought twice is cited once
    ranked = sorted(
        (place for place in latest.values() if related[place] > 0), key=lambda place: (-related[place], -place)
    )
    evidence = ranked[:EVIDENCE_ITEMS] or [len(history) - 1]
    relevant = sorted({*evidence, len(history) - 1})

    preferences = dominant_traits((history[place] for place in evidence), PREFERENCE_TRAITS)
    shared = [label for label in target.categories if label in preferences]
    own = [label for label in target.categories if label not in preferences]
    # A brand that the history does not know could not be inferred from it.
    brand = target.brand if any(item.brand == target.brand for item in history) else ""
    intent = [*(shared + own)[:INTENT_TRAITS], target.decade, brand]
    beside = dominant_traits((history[place] for place in latest.values() if place not in evidence), PREFERENCE_TRAITS)
    unwanted = [trait for trait in beside if trait not in (*preferences, *target.categories, *intent)]
    most = history[evidence[0]]
    left = dominant_traits((history[place] for place in latest.values() if place != evidence[0]), PREFERENCE_TRAITS)
    return Chain(
        evidence="".join(history[place].index for place in evidence),
        preferences=join_without_title(preferences, target),
        conflict=join_without_title(unwanted, target),
        intent=join_without_title(intent, target),
        counterfactual=f"{most.index} {join_without_title(left, target)}".strip(),
        relevant="".join(history[place].index for place in relevant),
    )


def reasoning_examples(
    sequences: Mapping[str, Sequence[str]],
    items: Mapping[str, Item],
    teacher: Teacher,
    count: int,
    window: int,
    rng: np.random.Generator,
) -> tuple[list[Example], ChainAudit]:
    """Draw steps of the training sequences, have them explained, and keep the chains that pass every check.

    Args:
        sequences: user -> item ids of the training part, in time order.
        items: every item of the catalogue.
        teacher: writes the chains.
        count: chains to ask for; fewer where the sequences have fewer steps.
        window: most recent items of a history that the prompt shows.
        rng: source of randomness for the draw.
    """
    histories, targets = [], []
    for user, position in sample_steps(sequences, count, MINIMUM_HISTORY, rng):
        histories.append([items[item] for item in sequences[user][max(0, position - window) : position]])
        targets.append(items[sequences[user][position]])

    examples: list[Example] = []
    faults: Counter[str] = Counter()
    cited = 0
    for chain, history, target in zip(teacher.chains(histories, targets), histories, targets, strict=True):
        if chain is None:
            faults[UNANSWERED] += 1
            continue
        if fault := chain_fault(chain, history, target):
            faults[fault] += 1
            continue
        cited += len(citations(chain.evidence))
        examples.append(reasoning_example(chain, history, target))
    audit = ChainAudit(
        made=len(targets), kept=len(examples), dropped=dict(faults), mean_citations=cited / max(len(examples), 1)
    )
    return examples, audit


def reasoning_example(chain: Chain, history: Sequence[Item], target: Item) -> Example:
    """A chain and its answer in the format that inference asks for (`policy.toml`, `[reasoning]`)."""
    form = load_prompts("policy")["reasoning"]
    return Example(
        task=REASONING_TASK,
        prompt=form["prompt"].format(history="".join(item.index for item in history)),
        answer=f"{form['think_open']}{chain_text(chain)}{form['think_close']}"
        f"{form['answer_open']}{target.index}{form['answer_close']}",
    )


def chain_text(chain: Chain) -> str:
    """A chain as it stands between the think tags: the stages that have something to say, each behind its label."""
    words: dict[str, str] = load_prompts("reasoning")["stages"]
    return words["separator"].join(f"{words[stage]}{text}" for stage, text in chain.stages.items() if text)
