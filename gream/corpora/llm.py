"""A language model as writer of user texts and as teacher of reasoning chains.

Item texts are a shop's data, not ours: they travel as the request's data, never inside the instructions, and what comes
back is cleaned of markup (`PlainText`) before anything is trained on it.
"""

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from gream.config import PAPER_STAGES, ReasoningStage
from gream.corpora.checks import Chain, mentions_title
from gream.corpora.items import Item
from gream.enrichment.client import LlmRequest
from gream.enrichment.untrusted import Data, PlainText
from gream.prompts import load_prompts

Answer = TypeVar("Answer", bound=BaseModel)


class LanguageModel(Protocol):
    """The part of `gream.enrichment.client.LlmClient` that the corpora need."""

    def complete_all(
        self, requests: Sequence[LlmRequest], schema: type[Answer], label: str = ...
    ) -> list[Answer | None]:
        """One answer for each request, in order; None where there is none to be had."""
        ...


class WrittenText(BaseModel):
    """Answer to the instructions in `alignment.toml`."""

    model_config = ConfigDict(extra="forbid")

    text: PlainText


class LlmTexts:
    """User preferences and search intents."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._instructions: dict[str, str] = load_prompts("alignment")["writer"]

    def preferences(self, histories: Sequence[Sequence[Item]]) -> list[str | None]:
        """A sentence on each history."""
        return self._write("preference", [[_describe(item) for item in history] for history in histories])

    def intents(self, items: Sequence[Item]) -> list[str | None]:
        """A search request for each item; None where the model used the title all the same."""
        texts = self._write("intent", [_describe(item) for item in items])
        return [
            text if text and not mentions_title(text, item.full_title) else None
            for text, item in zip(texts, items, strict=True)
        ]

    def _write(self, kind: str, subjects: Sequence[Data]) -> list[str | None]:
        requests = [LlmRequest(self._instructions[kind], subject) for subject in subjects]
        answers = self._model.complete_all(requests, WrittenText, label=f"{kind} texts")
        return [answer.text if answer else None for answer in answers]


class Evidence(BaseModel):
    """One item of the history, by number, and what it shows."""

    model_config = ConfigDict(extra="forbid")

    item: int
    note: PlainText


class WrittenChain(BaseModel):
    """Answer to the instructions in `reasoning.toml`; `recommendation` is asked for and cut."""

    model_config = ConfigDict(extra="forbid")

    evidence: list[Evidence]
    preferences: PlainText
    intent: PlainText
    recommendation: PlainText
    relevant: list[int]


class WrittenLongChain(WrittenChain):
    """With the two stages that are not the paper's."""

    conflict: PlainText
    counterfactual: Evidence


class LlmTeacher:
    """Reasoning chains by reverse reasoning: the model sees the history and the true next item (paper, section 3.2)."""

    def __init__(self, model: LanguageModel, stages: Collection[ReasoningStage] = PAPER_STAGES) -> None:
        """Args:
        model: writes the chains.
        stages: what they hold.
        """
        self._model = model
        self._stages = stages
        teacher = load_prompts("reasoning")["teacher"]
        self._schema: type[WrittenChain] = WrittenChain
        self._instructions: str = teacher["system"]
        if {"conflict", "counterfactual"} & set(stages):
            self._schema = WrittenLongChain
            self._instructions += teacher["more"]

    def chains(self, histories: Sequence[Sequence[Item]], targets: Sequence[Item]) -> list[Chain | None]:
        """One chain for each history (oldest item first) and its target, unchecked; None where there is no answer."""
        requests = [
            LlmRequest(
                self._instructions,
                {
                    "history": [{"item": number, **_describe(item)} for number, item in enumerate(history, 1)],
                    "next": _describe(target),
                },
            )
            for history, target in zip(histories, targets, strict=True)
        ]
        answers = self._model.complete_all(requests, self._schema, label="reasoning chains")
        return [
            _render(answer, history).only(self._stages) if answer else None
            for answer, history in zip(answers, histories, strict=True)
        ]


def _render(written: WrittenChain, history: Sequence[Item]) -> Chain:
    """The chain with item numbers turned into indices."""
    numbered = dict(enumerate(history, 1))
    evidence = [part for part in written.evidence if part.item in numbered]
    relevant = [number for number in written.relevant if number in numbered]
    strays = len(written.evidence) - len(evidence) + len(written.relevant) - len(relevant)
    conflict = counterfactual = ""
    if isinstance(written, WrittenLongChain):
        conflict, without = written.conflict, written.counterfactual
        if without.item in numbered:
            counterfactual = f"{numbered[without.item].index} {without.note}"
        else:
            strays += 1
    return Chain(
        evidence=", ".join(f"{numbered[part.item].index} {part.note}" for part in evidence),
        preferences=written.preferences,
        conflict=conflict,
        intent=written.intent,
        counterfactual=counterfactual,
        relevant="".join(numbered[number].index for number in relevant),
        strays=strays,
    )


def _describe(item: Item) -> dict[str, Data]:
    return {"title": item.title, "brand": item.brand, "categories": item.categories, "profile": item.profile}
