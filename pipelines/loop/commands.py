"""`gream loop`: the closed loop on this machine, from the first training to a rollback."""

from pathlib import Path

import click

from gream.stages import MAX_SEED

REPORT = "timeline.html"


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="runs/loop", show_default=True, help="For its folder.")
@click.option("--visits", default=400, show_default=True, type=click.IntRange(min=1), help="Visitors of a day.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, MAX_SEED), help="Of training and of who comes."
)
def loop(out: Path, visits: int, seed: int) -> None:
    """Play weeks of a shop against the really served champion, and let the monitor see to it.

    A champion is trained on the past of MovieLens-100K and served. Quiet days; then new films, another taste, other
    users; the monitor notices, indexes, retrains, and the gate decides. Then a bad challenger, and a rollback.
    """
    import logging
    import time
    from datetime import datetime

    from pipelines.loop.checks import check
    from pipelines.loop.figure import render_page
    from pipelines.loop.stage import Stage
    from pipelines.loop.timeline import Timeline

    logging.basicConfig(level=logging.INFO, format="    %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    started = time.monotonic()
    folder = out.resolve() / f"{datetime.now():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    stage = Stage(folder, visits, seed)
    stage.train()
    with stage.open():
        stage.quiet()
        stage.shift()
        stage.after()
        verdict = stage.refuse_a_bad_challenger()
        version = stage.roll_back()
    checks = tuple(check(stage.days, verdict, version))
    timeline = Timeline(
        days=tuple(stage.days), events=tuple(stage.events), checks=checks, seconds=time.monotonic() - started
    )
    timeline.save(folder / "timeline.json")
    (folder / REPORT).write_text(render_page(timeline), encoding="utf-8")
    click.echo(timeline.table())
    click.echo(f"\n{timeline.seconds / 60:.0f} minutes. {folder}: {REPORT}, timeline.json, decisions.jsonl, evidently/")
    if not all(one.holds for one in checks):
        raise SystemExit(1)
