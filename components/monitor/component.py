"""KFP component `monitor`: one round of the monitor, by the command that the CronJob and people use."""

from kfp.dsl import Markdown, Output, component

from components import DATA_IMAGE


@component(base_image=DATA_IMAGE, install_kfp_package=False)
def monitor(
    status: Output[Markdown],
    champion: str,
    catalog: str,
    evidence: str,
    decisions: str,
    canary: str,
    calibrations: str,
    evidently: str,
    alertmanager: str,
    settings: str,
    kfp_endpoint: str,
    profile: str,
    overrides: list[str],
) -> None:
    """Judge every window that is over, decide, and start what was decided.

    Args:
        status: the champion, its monitors over time and the last decisions, as text.
        champion: where the champion stands: s3://BUCKET/PREFIX.
        catalog: the shop's catalog as it is now: s3://BUCKET/PREFIX.
        evidence: what serving writes: s3://BUCKET/PREFIX.
        decisions: the record of decisions: s3://BUCKET/KEY.
        canary: where the canary stands: s3://BUCKET/PREFIX; empty where there is none.
        calibrations: thresholds of each champion: s3://BUCKET/PREFIX.
        evidently: URL of Evidently's UI; empty for no pages.
        alertmanager: URL of Prometheus' Alertmanager, for pages and warnings; empty for none.
        settings: TOML text of what differs from the defaults of gream.monitoring.settings; may be empty.
        kfp_endpoint: URL of KFP's API, where retrainings are started.
        profile: of a retraining.
        overrides: of a retraining.
    """
    import os
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        file, cache = Path(folder, "monitoring.toml"), Path(folder, "cache")
        file.write_text(settings, encoding="utf-8")
        gream = [sys.executable, "-c", "from gream.cli import main; main()"]
        record = ["--champion", champion, "--decisions", decisions, "--cache", str(cache)]
        places = ["--catalog", catalog, "--evidence", evidence, "--calibrations", calibrations, "--canary", canary]
        told_to = ["--evidently", evidently, "--alertmanager", alertmanager]
        runs = ["--runs-on", "kfp", "--profile", profile, *(word for one in overrides for word in ("--set", one))]
        options = [*record, *places, *told_to, *runs, "--settings", str(file)]
        environment = os.environ | {"KFP_ENDPOINT": kfp_endpoint}
        ended = subprocess.run([*gream, "monitor", *options], env=environment, check=False)
        # Where the round failed, its own sentence is the one that is seen, not that of a status that failed after it.
        errors = subprocess.DEVNULL if ended.returncode else None
        shown = subprocess.run(
            [*gream, "status", *record], stdout=subprocess.PIPE, stderr=errors, text=True, check=False
        )
    Path(status.path).write_text(f"```\n{shown.stdout}```\n", encoding="utf-8")
    if ended.returncode or shown.returncode:
        raise SystemExit(ended.returncode or shown.returncode)
