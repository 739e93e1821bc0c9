"""The experiment pipeline: variants of a training under the same seeds, and how they compare.

Ablations, grids and audits of the index are all of this form: a setting that is changed, everything else equal, the
same users. Every variant goes through all steps, one after the other: so what variants share is made by the first of
them, and found by the others in the workspace or its mirror (`gream.stages.store`). A cluster may run several at once.
"""

from typing import Any, NamedTuple

from kfp import dsl

from components.compare.component import compare
from components.enrich_share.component import enrich_share
from components.index_whole.component import index_whole
from components.ingest.component import ingest
from components.trial.component import trial
from components.variant.component import variant
from components.variants.component import variants as crossed
from pipelines.cluster import Cluster
from pipelines.learning import learn
from pipelines.steps import pipeline_config, step_maker, tidied

PIPELINE_NAME = "gream-experiment"


class ExperimentOutputs(NamedTuple):
    """What an experiment leaves behind."""

    comparison: dsl.Artifact
    report: dsl.HTML


def define_experiment(cluster: Cluster | None = None) -> Any:
    """The pipeline, for a cluster, or for KFP's local runner; see `pipelines.training.define_training`."""
    step = step_maker(cluster)
    at_once = cluster.at_once if cluster else 1  # Two on one machine would take each other's cores and memory.

    def experiment_pipeline(
        variants: list[str],
        data: str = "movielens-100k",
        profile: str = "laptop",
        overrides: list[str] = [],  # noqa: B006 - KFP reads the default and never calls this with it
        seeds: list[int] = [0],  # noqa: B006
        seen_items: str = "as-dataset",
        workspace: str = "/workspace",
    ) -> ExperimentOutputs | None:
        """Run variants of a training, and compare them user by user with the first.

        Args:
            variants: JSON list of texts "NAME: SECTION.KEY=VALUE ..."; without settings, a variant is the profile.
            data: movielens-100k; s3://BUCKET/PREFIX of a published catalog; or a folder: saved catalog, Amazon dumps,
                LC-Rec JSON, or CSV, TSV, Parquet tables.
            profile: Size of the runs: laptop, small, paper, or the path of a TOML file inside the image.
            overrides: Single settings that all variants share, as a JSON list such as ["srpo.steps=50"].
            seeds: That each variant is run with; intervals are over users, seeds are shown beside.
            seen_items: Whether items of a user's history may be recommended: as-dataset, exclude, or keep.
            workspace: Folder on a shared volume for stage outputs and checkpoints; what is there is not made again.

        Returns:
            The comparison, as JSON and as a page.
        """
        with tidied(cluster, workspace):
            each = step(crossed(variants=variants, seeds=seeds), "Variants under seeds").output
            with dsl.ParallelFor(each, name="variants", parallelism=at_once) as text:
                chosen = step(variant(text=text, overrides=overrides), "A variant").outputs
                common = {
                    "profile": profile,
                    "overrides": chosen["overrides"],
                    "seed": chosen["seed"],
                    "workspace": workspace,
                }
                catalog = step(ingest(data=data, seen_items=seen_items, **common), "Ingest").outputs["catalog"]
                # In one share: KFP's local runner gives a loop inside a loop the outer one's turn for an argument.
                whole = step(enrich_share(catalog=catalog, share=0, shares=1, **common), "Enrich").outputs
                texts = {"catalog": catalog, "item_profiles": whole["item_profiles"]}
                indexed = step(index_whole(**texts, **common), "Index").outputs["semantic_index"]
                learnt = learn(cluster, texts, indexed, common)
                about = {"variant": chosen["name"], "own": chosen["own"], "seed": chosen["seed"]}
                kept = step(trial(policy=learnt.policy, evaluation=learnt.evaluation, **about), "Keep what it showed")
            trials = dsl.Collected(kept.outputs["trial"])
            made = step(compare(trials=trials, profile=profile, overrides=overrides), "Compare")
        if cluster is not None:
            return None
        return ExperimentOutputs(comparison=made.outputs["comparison"], report=made.outputs["report"])

    # KFP reads the annotation: what the function may return decides the outputs that the pipeline has.
    experiment_pipeline.__annotations__["return"] = ExperimentOutputs if cluster is None else None
    return dsl.pipeline(
        name=PIPELINE_NAME,
        display_name="GREAM experiment",
        description=(
            "Runs a training with other settings, each variant under the same seeds, and compares what came of them "
            "user by user: quality in both modes, reward variance, zero-variance groups, collisions."
        ),
        pipeline_config=pipeline_config(cluster),
    )(experiment_pipeline)


experiment_pipeline = define_experiment()
"""As this machine runs it (`pipelines.local_experiment`)."""
