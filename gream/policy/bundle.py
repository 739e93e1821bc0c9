"""The policy bundle: everything that serving needs, in one folder.

Weights and tokenizer as Hugging Face saves them (any engine loads the folder itself), `semantic_index/`,
`items.parquet`, `transitions.npz` where its search has a prior, `policy.json` (`PolicyFacts`) and `README.md`, the
model card.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl
from pydantic import BaseModel, ConfigDict

from gream.artifacts import atomic_folder, content_digest, link_or_copy, open_artifact
from gream.config import Profile
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.transition_prior import PriorWeights, TransitionPrior
from gream.prompts import PROMPTS_VERSION, load_prompts

KIND = "policy"
FACTS = "policy.json"
CARD = "README.md"
ITEMS = "items.parquet"
INDEX = "semantic_index"
ASKED_WITH: Final = {"beams", "max_chain_tokens", "chain_temperature", "chain_top_p"}
"""Settings of the evaluation that a policy carries with it, to be served as it was evaluated; the others are the
evaluation's own affair, and no reason to train anew."""


class PolicyFacts(BaseModel):
    """What a policy was trained with and is to be asked with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    profile: str
    stage: str
    """The training that it went through last: `sft` or `srpo`."""
    seed: int
    trained_until: int | None = None
    """Time of the last event of its training data; None where nobody has noted it."""
    held_out: bool = False
    """Whether its training left each user's last two events for validation and test (`gream.data.split`), so that it
    was not trained on everything up to then."""
    prompts_version: int = PROMPTS_VERSION
    prompts: dict[str, Any]
    """The inference prompts themselves: a later release may word its own differently."""
    history_window: int
    reasoning_window: int
    beams: int
    max_chain_tokens: int
    chain_temperature: float
    chain_top_p: float
    prior: PriorWeights | None = None
    """How much transition counts count in its search; None where it has none."""
    added_items: int = 0
    """How many of the last items were added to the table after the training."""
    metrics: dict[str, Any] = {}

    @classmethod
    def of(
        cls,
        profile: Profile,
        dataset: str,
        stage: str,
        seed: int,
        trained_until: int | None = None,
        held_out: bool = False,
    ) -> "PolicyFacts":
        """The facts of a policy that is trained under a profile."""
        return cls(
            dataset=dataset,
            profile=profile.name,
            stage=stage,
            seed=seed,
            trained_until=trained_until,
            held_out=held_out,
            prompts=load_prompts("policy"),
            history_window=profile.corpus.history_window,
            reasoning_window=profile.corpus.reasoning_window,
            **profile.evaluation.model_dump(include=ASKED_WITH),
        )


def save_policy(
    path: Path,
    model: Any,
    tokenizer: Any,
    index: SemanticIndex,
    items: pl.DataFrame,
    facts: PolicyFacts,
    prior: TransitionPrior | None = None,
) -> None:
    """Write a bundle.

    Args:
        path: the folder to make.
        model: a Hugging Face causal LM, adapters merged.
        tokenizer: with the index tokens.
        index: of at least the items in `items`.
        items: the items table of the catalogue; its order numbers the items.
        facts: see `PolicyFacts`.
        prior: of its search, where `facts.prior` says how much it counts.
    """
    with atomic_folder(path, KIND, **_summary(facts), items=items.height) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        index.save(folder / INDEX)
        items.write_parquet(folder / ITEMS)
        if prior is not None:
            prior.save(folder)
        _write_facts(folder, facts)


def add_metrics(source: Path, target: Path, metrics: dict[str, Any]) -> None:
    """Write the bundle at `source` to `target` with metrics in its facts and on its model card.

    Raises:
        ArtifactError: `source` is not a complete bundle.
    """
    facts = read_facts(source).model_copy(update={"metrics": metrics})
    with atomic_folder(target, KIND, **_summary(facts), items=_count_items(source)) as folder:
        _copy_files(source, folder, besides=(FACTS, CARD))
        _write_facts(folder, facts)


def replace_items(source: Path, target: Path, index: SemanticIndex, items: pl.DataFrame) -> None:
    """Write the bundle at `source` to `target` with a longer catalogue and the same weights.

    Args:
        source: a complete bundle.
        target: the folder to make; it may be `source` itself.
        index: of at least the items in `items`, over the vocabulary that the weights know.
        items: the items table, new items last.

    Raises:
        ArtifactError: `source` is not a complete bundle.
    """
    made_from, facts = content_digest(source), read_facts(source)
    added = facts.added_items + items.height - _count_items(source)
    facts = facts.model_copy(update={"added_items": added})
    with atomic_folder(target, KIND, **_summary(facts), items=items.height, made_from=made_from) as folder:
        _copy_files(source, folder, besides=(ITEMS, INDEX, FACTS, CARD))
        items.write_parquet(folder / ITEMS)
        index.save(folder / INDEX)
        _write_facts(folder, facts)


def read_facts(path: Path) -> PolicyFacts:
    """The facts of the bundle at `path`."""
    return PolicyFacts.model_validate_json((path / FACTS).read_text(encoding="utf-8"))


def _count_items(bundle: Path) -> int:
    count: int = pl.scan_parquet(bundle / ITEMS).select(pl.len()).collect().item()
    return count


def _copy_files(source: Path, folder: Path, besides: Sequence[str]) -> None:
    """Put a bundle's files into a folder besides those that are written anew: a link must not be written into."""
    for name in open_artifact(source, KIND)["files"]:  # What else may stand there is not part of the bundle.
        if Path(name).parts[0] not in besides:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(str(source / name), str(folder / name))


def _summary(facts: PolicyFacts) -> dict[str, Any]:
    return facts.model_dump(include={"dataset", "profile", "stage", "seed", "prompts_version"})


def _write_facts(folder: Path, facts: PolicyFacts) -> None:
    (folder / FACTS).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(_model_card(facts), encoding="utf-8")


def _prior_text(prior: PriorWeights | None) -> str:
    return "none" if prior is None else f"weight {prior.direct:.2f} in direct, {prior.reasoning:.2f} in reasoning mode"


def _model_card(facts: PolicyFacts) -> str:
    metrics = json.dumps(facts.metrics, indent=2) if facts.metrics else "Not evaluated yet."
    return f"""# GREAM policy for {facts.dataset}

A generative reasoning recommender: a causal language model that names items by their semantic index, after the paper
"Generative Reasoning Recommendation via LLMs" (arXiv 2510.20815).

- Profile `{facts.profile}`, last trained by `{facts.stage}`, seed {facts.seed},
  prompts version {facts.prompts_version}.
- A direct prompt holds the {facts.history_window} most recent items, a reasoning prompt {facts.reasoning_window}.
- {facts.beams} beams; chains of at most {facts.max_chain_tokens} tokens at temperature {facts.chain_temperature}, top-p
  {facts.chain_top_p}.
- Prior of the search, transition counts: {_prior_text(facts.prior)}.

It recommends items of `{ITEMS}` and nothing else; it knows of a user only what the history says.

```python
from gream.policy import Policy

Policy.load("PATH OF THIS FOLDER").recommend(["ITEM ID", "ITEM ID"], k=10, mode="reasoning")
```

## Metrics

```json
{metrics}
```
"""
