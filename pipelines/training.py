"""The training pipeline: from two tables to an evaluated policy.

One definition for this machine and for clusters. On a cluster each step also gets its pod (`pipelines.pods`), and an
exit handler tidies the workspace.
"""

from typing import Any, NamedTuple

from kfp import dsl

from components.encode_share.component import encode_share
from components.enrich.component import enrich
from components.enrich_share.component import enrich_share
from components.index.component import index
from components.ingest.component import ingest
from components.report.component import report
from components.shares.component import shares as numbered
from pipelines.cluster import Cluster
from pipelines.learning import learn
from pipelines.steps import pipeline_config, step_maker, tidied

PIPELINE_NAME = "gream-training"


class TrainingOutputs(NamedTuple):
    """What a run leaves behind."""

    policy: dsl.Model
    catalog: dsl.Dataset
    report: dsl.HTML
    metrics: dsl.Metrics


def define_training(cluster: Cluster | None = None) -> Any:
    """The pipeline, for a cluster, or for KFP's local runner, which knows no pods.

    On a cluster it has no outputs (see `pipelines.steps.tidied`). The steps' own outputs are all in the UI.
    """
    step = step_maker(cluster)
    at_once = None if cluster else 1  # KFP's local runner loses what one of two turns prints when the other ends first.

    def training_pipeline(
        data: str = "movielens-100k",
        profile: str = "laptop",
        overrides: list[str] = [],  # noqa: B006 - KFP reads the default and never calls this with it
        seed: int = 0,
        seen_items: str = "as-dataset",
        shares: int = 1,
        workspace: str = "/workspace",
    ) -> TrainingOutputs | None:
        """Train and evaluate one policy.

        Args:
            data: movielens-100k; s3://BUCKET/PREFIX of a published catalog; or a folder: saved catalog, Amazon dumps,
                LC-Rec JSON, or CSV, TSV, Parquet tables.
            profile: Size of the run: laptop, small, paper, or the path of a TOML file inside the image.
            overrides: Single settings that differ from the profile, as a JSON list such as ["srpo.beta=0.7"].
            seed: Of every random choice; the same seed gives the same result.
            seen_items: Whether items of a user's history may be recommended: as-dataset, exclude, or keep.
            shares: In how many parts item texts are enriched and encoded, side by side; the result is the same.
            workspace: Folder on a shared volume for stage outputs and checkpoints; a stopped run continues from it.

        Returns:
            The policy after SRPO with its metrics, the catalog (serving takes histories from it), the report, and
            metrics.json.
        """
        common = {"profile": profile, "overrides": overrides, "seed": seed, "workspace": workspace}
        with tidied(cluster, workspace):
            catalog = step(ingest(data=data, seen_items=seen_items, **common), "Ingest").outputs["catalog"]
            each = step(numbered(count=shares), "Shares").output

            with dsl.ParallelFor(each, name="enrich-shares", parallelism=at_once) as number:
                part = step(enrich_share(catalog=catalog, share=number, shares=shares, **common), "Enrich a share")
            enriched = dsl.Collected(part.outputs["item_profiles"])
            profiles = step(enrich(catalog=catalog, shares=enriched, **common), "Enrich").outputs["item_profiles"]

            texts = {"catalog": catalog, "item_profiles": profiles}
            with dsl.ParallelFor(each, name="encode-shares", parallelism=at_once) as number:
                part = step(encode_share(**texts, share=number, shares=shares, **common), "Encode a share")
            vectors = dsl.Collected(part.outputs["item_vectors"])
            semantic_index = step(index(**texts, item_vectors=vectors, **common), "Index").outputs["semantic_index"]

            learnt = learn(cluster, texts, semantic_index, common)
            policies = {"sft_policy": learnt.sft_policy, "policy": learnt.policy}
            page = step(report(**policies, evaluation=learnt.evaluation, **common), "Report")
        if cluster is not None:
            return None
        return TrainingOutputs(
            policy=page.outputs["evaluated_policy"],
            catalog=catalog,
            report=page.outputs["report"],
            metrics=page.outputs["metrics"],
        )

    # KFP reads the annotation: what the function may return decides the outputs that the pipeline has.
    training_pipeline.__annotations__["return"] = TrainingOutputs if cluster is None else None
    return dsl.pipeline(
        name=PIPELINE_NAME,
        display_name="GREAM training",
        description=(
            "Turns interactions and item texts into a generative reasoning recommender: ingest, enrich, index, build "
            "corpora, supervised fine-tuning with the curriculum, SRPO, evaluation beside baselines, report."
        ),
        pipeline_config=pipeline_config(cluster),
    )(training_pipeline)


training_pipeline = define_training()
"""As this machine runs it (`pipelines.local`)."""
