"""The command `gream doctor`."""

import json
from dataclasses import asdict
from typing import Any

import click

from pipelines.cluster import Cluster
from pipelines.cluster_commands import cluster_options, endpoint_option

SIGNS = {"ok": "+", "failed": "!", "skipped": "-"}


@click.command()
@endpoint_option
@click.option(
    "--store", envvar="GREAM_WORKSPACE_REMOTE", default="", metavar="s3://BUCKET/PREFIX", help="Where to write."
)
@click.option("--api", envvar="GREAM_API", default="", metavar="URL", help="The API that serves.")
@click.option("--context", default="", help="Of kubectl; by default the current one.")
@click.option("--namespace", default="kubeflow", show_default=True, help="Where the pods of runs are.")
@click.option("--timeout", default=20.0, show_default=True, help="Seconds that checks may take.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@cluster_options
def doctor(
    endpoint: str, store: str, api: str, context: str, namespace: str, timeout: float, as_json: bool, **choices: Any
) -> None:
    """Check an installation: KFP, the store, the cluster, and the API that serves.

    Give the same choices as to `gream pipelines compile`. The exit status is 1 if a check failed; what is not named is
    skipped.
    """
    from pipelines.doctor import cluster, kfp, serving
    from pipelines.doctor import store as s3
    from pipelines.doctor.examination import examine

    checks = [
        *kfp.checks(endpoint),
        *s3.checks(store),
        *cluster.checks(Cluster(**choices), namespace, cluster.from_kubeconfig(context)),
        *serving.checks(api),
    ]
    findings = examine(checks, timeout)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{SIGNS[finding.state]} {finding.check:12} {finding.told}")
            if finding.remedy:
                click.echo(f"  {'':12} -> {finding.remedy}")
    if any(finding.state == "failed" for finding in findings):
        raise SystemExit(1)
