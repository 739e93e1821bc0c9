"""The headline row on Amazon Beauty, from nothing, beside the published ones.

    python -m benchmarks.beauty [--seeds 3] [--home FOLDER] [--set SETTING=VALUE]

Each seed is one `gream run` with the laptop profile: 40 minutes on two cores. With `--home` what is done stays there,
and the same command goes on where it was stopped. The protocol is that of the published tables: leave-last-one-out, all
12,101 items ranked, items of the history kept in the ranking. Published figures are those that the papers print for
these data. With several seeds a figure is their mean, with the lowest and the highest.
"""

import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Final

import click

from gream.evaluation.results import Intervals, Metrics

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "datasets" / "amazon14-beauty"
FIGURES: Final = ("recall@5", "recall@10", "ndcg@5", "ndcg@10")
PUBLISHED: Final[dict[str, tuple[float, ...]]] = {
    "SASRec": (0.0387, 0.0605, 0.0249, 0.0318),
    "TIGER": (0.0454, 0.0648, 0.0321, 0.0384),
    "ActionPiece": (0.0511, 0.0775, 0.0340, 0.0424),
    "RPG": (0.0550, 0.0809, 0.0381, 0.0464),
}


@click.command(help=__doc__)
@click.option(
    "--data", default=DATA, show_default="../shared/datasets/amazon14-beauty", type=click.Path(path_type=Path)
)
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="Runs, with seeds from 0 on.")
@click.option(
    "--home", type=click.Path(path_type=Path), help="Folder that keeps stages and runs; without it, none does."
)
@click.option("--set", "overrides", multiple=True, metavar="SETTING=VALUE", help="Handed on to `gream run`.")
def main(data: Path, seeds: int, home: Path | None, overrides: tuple[str, ...]) -> None:
    if not data.is_dir():
        raise click.ClickException(
            f"{data} is not there; --data names the folder with Amazon Beauty: Beauty.inter.json and Beauty.item.json."
        )
    with nullcontext(home.absolute()) if home else TemporaryDirectory() as kept:
        measured = [measure(data, seed, overrides, Path(kept)) for seed in range(seeds)]
    click.echo(f"{'':<28}" + "".join(f"{figure:>25}" for figure in FIGURES))
    for name, row in rows(measured).items():
        click.echo(f"{name:<28}" + "".join(f"{words:>25}" for words in row))
    click.echo("\nDirect mode minus item transitions, by user:")
    for metrics in measured:
        found = metrics.comparisons["direct_vs_transitions"]
        words = [f"{figure} {found[figure].words('+')}" for figure in ("recall@10", "ndcg@10")]
        click.echo(f"  seed {metrics.seed}   {'   '.join(words)}")
    minutes = [f"{sum(metrics.seconds.values()) / 60:.0f}" for metrics in measured]
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    click.echo(
        f"\n{measured[0].protocol.users} users; stages of {' and '.join(minutes)} minutes; seeds 0 to {seeds - 1}; "
        f"the largest process had {largest:.1f} GiB."
    )


def measure(data: Path, seed: int, overrides: Sequence[str], home: Path) -> Metrics:
    """What one run leaves in `metrics.json`; stages that the seed does not touch are made once."""
    runs = home / f"seed-{seed}"
    command = [str(Path(sys.executable).parent / "gream"), "run", "--data", str(data), "--profile", "laptop"]
    command += ["--seed", str(seed), "--workspace", str(home / "workspace"), "--out", str(runs)]
    command += [word for setting in overrides for word in ("--set", setting)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return Metrics.load(runs / "latest" / "metrics.json")


def rows(measured: Sequence[Metrics]) -> dict[str, list[str]]:
    """Name of a system to its figures in words: ours, its baselines, the published ones."""
    ours: dict[str, list[Intervals]] = {"gream, direct": [metrics.direct for metrics in measured]}
    if all(metrics.without_prior is not None for metrics in measured):
        ours["gream, without prior"] = [metrics.without_prior or {} for metrics in measured]
    for name in measured[0].baselines:
        ours[name.replace("_", " ")] = [metrics.baselines[name] for metrics in measured]
    found = {name: [_words([one[figure].value for one in runs]) for figure in FIGURES] for name, runs in ours.items()}
    published = {f"{name}, published": [f"{value:.4f}" for value in row] for name, row in PUBLISHED.items()}
    return found | published


def _words(values: Sequence[float]) -> str:
    spread = f" [{min(values):.4f}, {max(values):.4f}]" if len(values) > 1 else ""
    return f"{mean(values):.4f}{spread}"


if __name__ == "__main__":
    main()
