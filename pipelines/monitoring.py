"""The monitoring pipeline: one round of the monitor, for a recurring run of KFP.

It does what the CronJob of `k8s/` does, with the same command. Take one of the two: a recurring run shows each round in
KFP's UI, beside the retrainings that it starts; the CronJob needs no KFP to judge.
"""

from typing import Any

from kfp import dsl

from components.monitor.component import monitor
from pipelines.cluster import Cluster
from pipelines.steps import pipeline_config, step_maker

PIPELINE_NAME = "gream-monitoring"


def define_monitoring(cluster: Cluster) -> Any:
    """The pipeline for a cluster; on one machine, `gream monitor` is a round."""
    step = step_maker(cluster)

    def monitoring_pipeline(
        champion: str,
        catalog: str,
        evidence: str,
        decisions: str,
        calibrations: str,
        canary: str = "",
        evidently: str = "",
        alertmanager: str = "",
        settings: str = "",
        kfp_endpoint: str = "http://ml-pipeline.kubeflow:8888",
        profile: str = "laptop",
        overrides: list[str] = [],  # noqa: B006 - KFP reads the default and never calls this with it
    ) -> None:
        """Judge every window that is over, decide, and start what was decided.

        Args:
            champion: Where the champion stands: s3://BUCKET/PREFIX.
            catalog: The shop's catalog as it is now: s3://BUCKET/PREFIX.
            evidence: What serving writes: s3://BUCKET/PREFIX.
            decisions: The record of decisions: s3://BUCKET/KEY.
            calibrations: Keeps the thresholds of each champion: s3://BUCKET/PREFIX.
            canary: Where the canary stands: s3://BUCKET/PREFIX; empty where there is none.
            evidently: URL of Evidently's UI; empty for no pages.
            alertmanager: URL of Prometheus' Alertmanager, for pages and warnings; empty for none.
            settings: TOML text of what differs from the monitor's defaults, such as "match_seconds = 3600".
            kfp_endpoint: URL of KFP's API, where retrainings are started.
            profile: Of a retraining: laptop, small, paper, or the path of a TOML file inside the image.
            overrides: Of a retraining: settings that differ from the profile, as a JSON list.
        """
        step(
            monitor(
                champion=champion,
                catalog=catalog,
                evidence=evidence,
                decisions=decisions,
                calibrations=calibrations,
                canary=canary,
                evidently=evidently,
                alertmanager=alertmanager,
                settings=settings,
                kfp_endpoint=kfp_endpoint,
                profile=profile,
                overrides=overrides,
            ),
            "Monitor",
        )

    return dsl.pipeline(
        name=PIPELINE_NAME,
        display_name="GREAM monitoring",
        description=(
            "One round of the monitor: judges the windows that are over by calibrated thresholds, records a decision "
            "for each, and starts the retraining that was decided. For a recurring run, one at a time."
        ),
        pipeline_config=pipeline_config(cluster),
    )(monitoring_pipeline)
