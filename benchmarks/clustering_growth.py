"""Balanced RQ-KMeans from 10,000 to 1,000,000 vectors: time and memory, and how they grow.

    python -m benchmarks.clustering_growth [--items 10000 --items 100000 --items 1000000] [--device cuda]

Four levels of 256 codes and the 25 iterations that an index gets, on made-up vectors of 384 dimensions
(`simulated_vectors`). Each size has a process of its own, whose largest resident memory is told: vectors and libraries
included.
"""

import os
import resource
import subprocess
import sys

import click
import numpy as np
import torch

from benchmarks.simulated_vectors import simulated_vectors
from benchmarks.timing import timed
from gream.indexing.residual_kmeans import BalancedResidualKMeans

LEVELS, CODES = 4, 256


@click.command(help=__doc__)
@click.option("--items", multiple=True, type=int, default=(10_000, 100_000, 1_000_000), show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--alone", is_flag=True, hidden=True, help="Measure the one size, in this process.")
def main(items: tuple[int, ...], device: str, alone: bool) -> None:
    if alone:
        click.echo(" ".join(map(str, measure(items[0], device))))
        return
    click.echo("    vectors    seconds  exponent       GiB  left over  first level's sizes")
    before: tuple[int, float] | None = None
    for size in sorted(items):
        told = subprocess.run(
            [sys.executable, "-m", __spec__.name, "--alone", "--items", str(size), "--device", device],
            check=True,
            stdout=subprocess.PIPE,
            env=os.environ | {"TQDM_DISABLE": "1"},
            text=True,
        ).stdout
        seconds, gib, left_over, smallest, largest = map(float, told.split())
        exponent = f"{np.log(seconds / before[1]) / np.log(size / before[0]):8.2f}" if before else " " * 8
        click.echo(
            f"{size:>11,}  {seconds:9.1f}  {exponent}  {gib:8.2f}  {left_over:9.4f}  {smallest:.0f} to {largest:.0f}"
        )
        before = size, seconds


def measure(items: int, device: str) -> tuple[float, float, float, int, int]:
    """Seconds, largest GiB, the share of the variance left over, and the first level's extreme sizes.

    The memory is what the process had resident, or what it held on the GPU.
    """
    (X,) = simulated_vectors(items, seed=items)
    if device == "cuda":
        torch.zeros(1, device=device)  # The first use of a GPU takes seconds, which are not the clustering's.
    model, seconds = timed(lambda: BalancedResidualKMeans(LEVELS, CODES, seed=0, device=device).fit(X))
    sizes = np.bincount(model.codes[:, 0], minlength=CODES)
    if device == "cuda":
        gib = torch.cuda.max_memory_allocated() / 2**30
    else:
        gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return seconds, gib, model.residual_share, int(sizes.min()), int(sizes.max())


if __name__ == "__main__":
    main()
