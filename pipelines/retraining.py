"""The retraining pipeline: from the champion and fresh feedback to a challenger, the gate, and the champion's pointer.

The same definition for this machine and for clusters, as with training. A run is idempotent by its window: started
again with the same form it finds what it has made, goes on from there, and promotes and records nothing twice.

Both actions end at a gate of their own. One gate after both would need KFP to pass on the policy of whichever branch
was taken, which its local runner does for numbers and texts only.
"""

from typing import Any, NamedTuple

from kfp import dsl

from components.champion.component import champion as bring
from components.corpora.component import corpora
from components.enrich_share.component import enrich_share
from components.extend.component import extend
from components.gate.component import gate
from components.promote.component import promote
from components.refresh.component import refresh
from components.update_index.component import update_index
from pipelines.cluster import Cluster
from pipelines.steps import pipeline_config, step_maker, tidied, trainers

PIPELINE_NAME = "gream-retraining"
RETRAIN = "retrain"


class RetrainingOutputs(NamedTuple):
    """How a run ended; see `components.promote`."""

    result: str
    text: str
    gate: str


def define_retraining(cluster: Cluster | None = None) -> Any:
    """The pipeline, for a cluster, or for KFP's local runner; see `pipelines.training.define_training`."""
    step = step_maker(cluster)
    tune, reinforce, together = trainers(cluster or Cluster())

    def retraining_pipeline(
        champion: str,
        data: str,
        evidence: str,
        until: int,
        hold_out_since: int,
        action: str = "retrain",
        decision: str = "",
        decisions: str = "",
        canary: str = "",
        items: str = "",
        profile: str = "laptop",
        overrides: list[str] = [],  # noqa: B006 - KFP reads the default and never calls this with it
        seed: int = 0,
        workspace: str = "/workspace",
    ) -> RetrainingOutputs | None:
        """Make a challenger of the champion and fresh feedback, judge it, and promote it if it is not worse.

        Args:
            champion: Where the champion stands: s3://BUCKET/PREFIX, or a folder that the steps can read and write.
            data: The shop's catalog: s3://BUCKET/PREFIX of a published one, or the folder of a saved one.
            evidence: What serving wrote: s3://BUCKET/PREFIX, or a folder with feedback/date=*/hour=*/part-*.parquet.
            until: Feedback that arrived earlier counts, in seconds since 1970 (UTC).
            hold_out_since: From here on feedback is kept from training, for the gate; in seconds since 1970 (UTC).
            action: retrain, or index_new_items, which gives the champion the catalog's new items without training.
            decision: Id of the decision that ordered this run, which then gets its outcome; empty for a run by hand.
            decisions: The record of decisions, a file or s3://BUCKET/KEY; empty for a run by hand.
            canary: Where the canary stands, for what a decision ordered to be tried out; empty: it is promoted at once.
            items: Table of new items (CSV, TSV, Parquet) beside those of the catalog; empty for none.
            profile: Size of the run: laptop, small, paper, or the path of a TOML file inside the image.
            overrides: Single settings that differ from the profile, as a JSON list such as ["retrain.srpo_steps=20"].
            seed: Of every random choice; the same seed gives the same result.
            workspace: Folder on a shared volume for stage outputs and checkpoints; a stopped run continues from it.

        Returns:
            How it ended, why, and the fingerprint of the gate's output.
        """
        common = {"profile": profile, "overrides": overrides, "seed": seed, "workspace": workspace}
        order = {"place": champion, "action": action, "decision": decision, "decisions": decisions}

        def judge(challenger: Any) -> dsl.PipelineTask:
            judged = step(gate(**fresh, champion=now, challenger=challenger, **common), "Gate")
            verdict = judged.outputs["verdict"]
            return step(promote(challenger=challenger, verdict=verdict, canary=canary, **order), "Promote, or not")

        with tidied(cluster, workspace):
            standing = step(bring(**order, **common), "Champion")
            now = standing.outputs["policy"]
            window = {"hold_out_since": hold_out_since, "until": until}
            refreshed = step(refresh(data=data, evidence=evidence, items=items, **window, **common), "Refresh")
            refreshed.after(standing)  # Nothing is read, and no model paid for, where there is no champion to improve.
            catalog = refreshed.outputs["catalog"]
            fresh = {"catalog": catalog, "hold_out": refreshed.outputs["hold_out"]}
            enriched = step(enrich_share(catalog=catalog, share=0, shares=1, **common), "Enrich")
            texts = {"catalog": catalog, "item_profiles": enriched.outputs["item_profiles"]}

            with dsl.If(action == RETRAIN, name="retrain"):
                updated = step(update_index(**texts, champion=now, **common), "Update the index")
                semantic_index = updated.outputs["semantic_index"]
                written = step(corpora(**texts, semantic_index=semantic_index, champion=now, **common), "Corpora")
                corpus = written.outputs["corpus"]
                inputs = {"catalog": catalog, "semantic_index": semantic_index, "corpus": corpus, "champion": now}
                tuned = step(tune(**inputs, **together, **common), "Supervised fine-tuning").outputs["policy"]
                reinforced = reinforce(corpus=corpus, sft_policy=tuned, champion=now, **together, **common)
                retrained = judge(step(reinforced, "SRPO").outputs["policy"])
            with dsl.Else(name="index-new-items"):
                extended = step(extend(**texts, champion=now, **common), "Extend the champion")
                indexed = judge(extended.outputs["policy"])
        if cluster is not None:
            return None
        return RetrainingOutputs(
            **{name: dsl.OneOf(retrained.outputs[name], indexed.outputs[name]) for name in RetrainingOutputs._fields}
        )

    # KFP reads the annotation: what the function may return decides the outputs that the pipeline has.
    retraining_pipeline.__annotations__["return"] = RetrainingOutputs if cluster is None else None
    return dsl.pipeline(
        name=PIPELINE_NAME,
        display_name="GREAM retraining",
        description=(
            "Goes on from the champion with fresh feedback and a replay of older data, on frozen codebooks while these "
            "will do; compares challenger and champion on what came after, and moves the champion's pointer."
        ),
        pipeline_config=pipeline_config(cluster),
    )(retraining_pipeline)


retraining_pipeline = define_retraining()
"""As this machine runs it (`pipelines.local_retraining`)."""
