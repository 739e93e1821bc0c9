"""The training pipeline: from two tables to an evaluated policy, eight steps."""

from typing import NamedTuple

from kfp import dsl

from components.corpora.component import corpora
from components.enrich.component import enrich
from components.evaluate.component import evaluate
from components.index.component import index
from components.ingest.component import ingest
from components.report.component import report
from components.sft.component import sft
from components.srpo.component import srpo

PIPELINE_NAME = "gream-training"


class TrainingOutputs(NamedTuple):
    """What a run leaves behind."""

    policy: dsl.Model
    catalog: dsl.Dataset
    report: dsl.HTML
    metrics: dsl.Metrics


def _step(task: dsl.PipelineTask, title: str) -> dsl.PipelineTask:
    """Name a step for the UI and switch KFP's cache off.

    KFP's cache looks at parameters, not at the content of a folder or the code in an image, and it may point to
    artifacts that are gone; `gream.stages.store` knows all three, so a step that has nothing to do ends in seconds.
    """
    return task.set_display_name(title).set_caching_options(enable_caching=False)


@dsl.pipeline(
    name=PIPELINE_NAME,
    display_name="GREAM training",
    description=(
        "Turns interactions and item texts into a generative reasoning recommender: ingest, enrich, index, build "
        "corpora, supervised fine-tuning with the curriculum, SRPO, evaluation beside baselines, report."
    ),
)
def training_pipeline(
    data: str = "movielens-100k",
    profile: str = "laptop",
    overrides: list[str] = [],  # noqa: B006 - KFP reads the default and never calls this with it
    seed: int = 0,
    seen_items: str = "as-dataset",
    workspace: str = "/workspace",
) -> TrainingOutputs:
    """Train and evaluate one policy.

    Args:
        data: movielens-100k, or a folder: saved catalog, Amazon dumps, LC-Rec JSON, or CSV, TSV, Parquet tables.
        profile: Size of the run: laptop, small, paper, or the path of a TOML file inside the image.
        overrides: Single settings that differ from the profile, as a JSON list such as ["srpo.beta=0.7"].
        seed: Of every random choice; the same seed gives the same result.
        seen_items: Whether items of a user's history may be recommended: as-dataset, exclude, or keep.
        workspace: Folder on a shared volume for stage outputs and checkpoints; a stopped run continues from it.

    Returns:
        The policy after SRPO with its metrics, the catalog (serving takes histories from it), the report, and
        metrics.json.
    """
    common = {"profile": profile, "overrides": overrides, "seed": seed, "workspace": workspace}
    catalog = _step(ingest(data=data, seen_items=seen_items, **common), "Ingest").outputs["catalog"]
    profiles = _step(enrich(catalog=catalog, **common), "Enrich").outputs["item_profiles"]
    semantic_index = _step(index(catalog=catalog, item_profiles=profiles, **common), "Index").outputs["semantic_index"]
    corpus = _step(
        corpora(catalog=catalog, item_profiles=profiles, semantic_index=semantic_index, **common), "Corpora"
    ).outputs["corpus"]
    sft_policy = _step(
        sft(catalog=catalog, semantic_index=semantic_index, corpus=corpus, **common), "Supervised fine-tuning"
    ).outputs["policy"]
    policy = _step(srpo(corpus=corpus, sft_policy=sft_policy, **common), "SRPO").outputs["policy"]
    evaluation = _step(evaluate(catalog=catalog, sft_policy=sft_policy, policy=policy, **common), "Evaluate").outputs[
        "evaluation"
    ]
    page = _step(report(sft_policy=sft_policy, policy=policy, evaluation=evaluation, **common), "Report")
    return TrainingOutputs(
        policy=page.outputs["evaluated_policy"],
        catalog=catalog,
        report=page.outputs["report"],
        metrics=page.outputs["metrics"],
    )
