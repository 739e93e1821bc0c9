"""From texts and their index to an evaluated policy: what training does once and an experiment for each variant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.corpora.component import corpora
from components.evaluate.component import evaluate
from pipelines.cluster import Cluster
from pipelines.steps import step_maker, trainers


@dataclass(frozen=True)
class Learnt:
    """Outputs of steps, for other steps: the policies before and after SRPO, and the evaluation of both."""

    sft_policy: Any
    policy: Any
    evaluation: Any


def learn(cluster: Cluster | None, texts: Mapping[str, Any], semantic_index: Any, common: Mapping[str, Any]) -> Learnt:
    """Add the steps to the pipeline that is being defined.

    Args:
        cluster: see `pipelines.training.define_training`.
        texts: outputs `catalog` and `item_profiles`.
        semantic_index: output of a step.
        common: `profile`, `overrides`, `seed` and `workspace` of every step.
    """
    step, catalog = step_maker(cluster), texts["catalog"]
    tune, reinforce, together = trainers(cluster or Cluster())
    corpus = step(corpora(**texts, semantic_index=semantic_index, **common), "Corpora").outputs["corpus"]
    tuned = tune(catalog=catalog, semantic_index=semantic_index, corpus=corpus, **together, **common)
    sft_policy = step(tuned, "Supervised fine-tuning").outputs["policy"]
    reinforced = reinforce(corpus=corpus, sft_policy=sft_policy, **together, **common)
    policy = step(reinforced, "SRPO").outputs["policy"]
    judged = step(evaluate(catalog=catalog, sft_policy=sft_policy, policy=policy, **common), "Evaluate")
    return Learnt(sft_policy, policy, judged.outputs["evaluation"])
