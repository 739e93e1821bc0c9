"""From two tables to an evaluated policy: the steps that training runs once and an experiment for each variant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.corpora.component import corpora
from components.encode_share.component import encode_share
from components.enrich.component import enrich
from components.enrich_share.component import enrich_share
from components.evaluate.component import evaluate
from components.index.component import index
from components.ingest.component import ingest
from components.shares.component import shares as numbered
from pipelines.cluster import Cluster
from pipelines.steps import step_maker, trainers


@dataclass(frozen=True)
class Learnt:
    """Outputs of steps, for other steps: the catalog, the policy before and after SRPO, and the evaluation of both."""

    catalog: Any
    sft_policy: Any
    policy: Any
    evaluation: Any


def learn(cluster: Cluster | None, data: Any, seen_items: Any, shares: Any, common: Mapping[str, Any]) -> Learnt:
    """Add the steps to the pipeline that is being defined.

    Args:
        cluster: see `define_training`.
        data: parameter of the pipeline.
        seen_items: parameter of the pipeline.
        shares: parameter of the pipeline.
        common: `profile`, `overrides`, `seed` and `workspace` of every step.
    """
    step = step_maker(cluster)
    tune, reinforce, together = trainers(cluster or Cluster())
    catalog = step(ingest(data=data, seen_items=seen_items, **common), "Ingest").outputs["catalog"]
    each = step(numbered(count=shares), "Shares").output

    with dsl.ParallelFor(each, name="enrich-shares") as number:
        part = step(enrich_share(catalog=catalog, share=number, shares=shares, **common), "Enrich a share")
    enriched = dsl.Collected(part.outputs["item_profiles"])
    profiles = step(enrich(catalog=catalog, shares=enriched, **common), "Enrich").outputs["item_profiles"]

    texts = {"catalog": catalog, "item_profiles": profiles}
    with dsl.ParallelFor(each, name="encode-shares") as number:
        part = step(encode_share(**texts, share=number, shares=shares, **common), "Encode a share")
    vectors = dsl.Collected(part.outputs["item_vectors"])
    semantic_index = step(index(**texts, item_vectors=vectors, **common), "Index").outputs["semantic_index"]

    corpus = step(corpora(**texts, semantic_index=semantic_index, **common), "Corpora").outputs["corpus"]
    tuned = tune(catalog=catalog, semantic_index=semantic_index, corpus=corpus, **together, **common)
    sft_policy = step(tuned, "Supervised fine-tuning").outputs["policy"]
    reinforced = reinforce(corpus=corpus, sft_policy=sft_policy, **together, **common)
    policy = step(reinforced, "SRPO").outputs["policy"]
    judged = step(evaluate(catalog=catalog, sft_policy=sft_policy, policy=policy, **common), "Evaluate")
    return Learnt(catalog, sft_policy, policy, judged.outputs["evaluation"])
