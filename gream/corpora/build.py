"""The corpus stage: alignment examples, reasoning chains and RL prompts of one catalogue, as an artifact."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from gream import columns
from gream.artifacts import atomic_folder, open_artifact
from gream.config import CorpusConfig
from gream.corpora.alignment import alignment_examples
from gream.corpora.checks import ChainAudit
from gream.corpora.example import Example
from gream.corpora.items import IndexEncoder, read_items
from gream.corpora.llm import LanguageModel, LlmTeacher, LlmTexts
from gream.corpora.reasoning import Teacher, TemplateTeacher, reasoning_examples
from gream.corpora.replay import Replay
from gream.corpora.rl import RlPrompt, rl_prompts
from gream.corpora.texts import TemplateTexts, TextWriter
from gream.data.catalog import Catalog
from gream.data.split import Split
from gream.errors import ConfigError, EnrichmentError
from gream.indexing.tokens import TOKEN_PATTERN
from gream.prompts import PROMPTS_VERSION

KIND = "corpus"
MANY_CHAINS = 20
"""Of so many, a teacher that can be used has some kept."""


class TaskFacts(BaseModel):
    """Size of one task; the means are over its examples, prompt and answer together."""

    model_config = ConfigDict(extra="forbid")

    examples: int
    mean_index_tokens: float
    mean_characters: float
    """Without the index tokens."""


class CorpusFacts(BaseModel):
    """What a corpus says of itself in its manifest."""

    model_config = ConfigDict(extra="forbid")

    tasks: dict[str, TaskFacts]
    rl_prompts: int
    chains: ChainAudit
    prompts_version: int
    seed: int
    replay: Replay | None = None
    """What its split went out from (`gream.corpora.replay`); None of a training, which leaves the last two out."""


@dataclass(frozen=True)
class Corpus:
    """Everything that SFT and SRPO train on.

    Attributes:
        alignment: examples of the six alignment tasks, task by task.
        reasoning: checked chains in random order, `reasoning_passes` times over.
        rl: prompts for SRPO.
        facts: counts, lengths and the audit of the chains.
    """

    alignment: list[Example]
    reasoning: list[Example]
    rl: list[RlPrompt]
    facts: CorpusFacts

    def save(self, path: Path) -> None:
        """Write the corpus as a folder: `alignment.parquet`, `reasoning.parquet`, `rl.parquet`, `manifest.json`."""
        with atomic_folder(path, KIND, facts=self.facts.model_dump()) as folder:
            _example_frame(self.alignment).write_parquet(folder / "alignment.parquet")
            _example_frame(self.reasoning).write_parquet(folder / "reasoning.parquet")
            _rl_frame(self.rl).write_parquet(folder / "rl.parquet")

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        """Read a corpus folder.

        Raises:
            ArtifactError: `path` is not a complete corpus.
        """
        facts = CorpusFacts.model_validate(open_artifact(path, KIND)["facts"])
        return cls(
            alignment=[Example(*row) for row in pl.read_parquet(path / "alignment.parquet").iter_rows()],
            reasoning=[Example(*row) for row in pl.read_parquet(path / "reasoning.parquet").iter_rows()],
            rl=[RlPrompt(*row) for row in pl.read_parquet(path / "rl.parquet").iter_rows()],
            facts=facts,
        )


def build_corpus(
    catalog: Catalog,
    split: Split,
    profile_texts: Mapping[str, str],
    index: IndexEncoder,
    config: CorpusConfig,
    seed: int,
    model: LanguageModel | None = None,
) -> Corpus:
    """Build the corpus from the training part of a split.

    Args:
        catalog: item texts; its interactions are not read.
        split: its `train` part gives every history and every target.
        profile_texts: item id -> profile text, for every item of the catalogue.
        index: gives the index tokens of each item.
        config: amounts, windows and the teacher.
        seed: equal inputs and seeds give equal corpora.
        model: writes texts and chains where `config.teacher` is `openai`.

    Raises:
        ConfigError: `config.teacher` is `openai` and there is no model.
        DataError: an item has no profile text, or an index names two items.
        EnrichmentError: of many chains that the teacher was asked for, none can be trained on.
    """
    items = read_items(catalog, profile_texts, index)
    text_rng, alignment_rng, reasoning_rng, rl_rng = np.random.default_rng(seed).spawn(4)
    writer: TextWriter
    teacher: Teacher
    if config.teacher == "template":
        writer, teacher = TemplateTexts(text_rng), TemplateTeacher(split.train, config.reasoning_stages)
    elif model is not None:
        writer, teacher = LlmTexts(model), LlmTeacher(model, config.reasoning_stages)
    else:
        raise ConfigError('corpus.teacher = "openai" needs a language model endpoint; use "template" without one.')

    alignment = alignment_examples(split.train, items, writer, config, alignment_rng)
    chains, audit = reasoning_examples(
        split.train, items, teacher, config.reasoning_samples, config.reasoning_window, reasoning_rng
    )
    if audit.made >= MANY_CHAINS and not audit.kept:
        raise EnrichmentError(
            f"no chain of the teacher's can be trained on ({audit.words()}): set another enrichment.model, or "
            "corpus.reasoning_samples = 0 to train without reasoning."
        )
    prompts = rl_prompts(split.train, config.rl_prompts, rl_rng)
    facts = CorpusFacts(
        tasks=_task_facts([*alignment, *chains]),
        rl_prompts=len(prompts),
        chains=audit,
        prompts_version=PROMPTS_VERSION,
        seed=seed,
    )
    return Corpus(alignment, chains * config.reasoning_passes, prompts, facts)


def _task_facts(examples: Sequence[Example]) -> dict[str, TaskFacts]:
    counts: Counter[str] = Counter()
    index_tokens: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for example in examples:
        rest, tokens = TOKEN_PATTERN.subn("", example.prompt + example.answer)
        counts[example.task] += 1
        index_tokens[example.task] += tokens
        characters[example.task] += len(rest)
    return {
        task: TaskFacts(
            examples=count, mean_index_tokens=index_tokens[task] / count, mean_characters=characters[task] / count
        )
        for task, count in counts.items()
    }


def _example_frame(examples: Sequence[Example]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series("task", [example.task for example in examples], dtype=pl.String),
            pl.Series("prompt", [example.prompt for example in examples], dtype=pl.String),
            pl.Series("answer", [example.answer for example in examples], dtype=pl.String),
        ]
    )


def _rl_frame(prompts: Sequence[RlPrompt]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            pl.Series(columns.USER, [prompt.user_id for prompt in prompts], dtype=pl.String),
            pl.Series("history", [prompt.history for prompt in prompts], dtype=pl.List(pl.String)),
            pl.Series("target", [prompt.target for prompt in prompts], dtype=pl.String),
        ]
    )
