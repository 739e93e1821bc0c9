"""The two policy engines beside each other: Transformers with gream's beam search, and vLLM.

    python -m benchmarks.engines --policy runs/latest/policy

Both answer the same batches in direct mode, without API and transport: users of the catalog, ten items each, nothing of
their history among them. vLLM makes its own batches of what is asked at once. Shared are the users to whom both show
the same ten items. On a machine without a GPU vLLM runs on the CPU, for which it is not made.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import click

from benchmarks.command import Benchmark
from benchmarks.engine_requests import K, engine_requests
from benchmarks.timing import best_of
from serving.contracts import EngineAnswer, EngineRequest, PolicyEngine
from serving.engine.transformers_engine import TransformersEngine
from serving.engine.vllm_engine import VllmEngine

ENGINES: dict[str, type[PolicyEngine]] = {"Transformers": TransformersEngine, "vLLM": VllmEngine}


@click.command(cls=Benchmark, help=__doc__)
@click.option("--policy", default="runs/latest/policy", show_default=True, type=click.Path(exists=True, path_type=Path))
@click.option("--batch", "sizes", multiple=True, type=int, default=(1, 16, 64), show_default=True)
@click.option("--rounds", default=3, show_default=True, help="The best of them counts.")
def main(policy: Path, sizes: tuple[int, ...], rounds: int) -> None:
    requests = engine_requests(policy, max(sizes))
    found = {name: measure(engine, policy, requests, sizes, rounds) for name, engine in ENGINES.items()}
    click.echo("milliseconds of a batch" + "".join(f"{size:>10}" for size in sizes))
    for name, (_, seconds) in found.items():
        click.echo(f"{name:<23}" + "".join(f"{1_000 * taken:>10.1f}" for taken in seconds))
    ours, theirs = (answers for answers, _ in found.values())
    same = [items_of(one) == items_of(other) for one, other in zip(ours, theirs, strict=True)]
    click.echo(f"the same {K} items for {sum(same)} of {len(same)} users")


def measure(
    engine: type[PolicyEngine], policy: Path, requests: Sequence[EngineRequest], sizes: Sequence[int], rounds: int
) -> tuple[list[EngineAnswer], list[float]]:
    """The answers to all requests, and the seconds of a batch of each size."""
    with closing(engine.load(policy, "benchmark")) as loaded:
        answers = loaded.recommend(requests)  # Once before, so that nothing is timed that happens once only.
        return answers, [best_of(rounds, partial(loaded.recommend, requests[:size]))[1] for size in sizes]


def items_of(answer: EngineAnswer) -> set[str]:
    """The items of an answer."""
    return {item.item_id for item in answer.items}


if __name__ == "__main__":
    main()
