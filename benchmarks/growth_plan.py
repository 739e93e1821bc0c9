"""What `benchmarks.growth` measured, carried on to 10^8 users and 10^7 items: the figures of docs/scale.md.

    python -m benchmarks.growth_plan

Seconds go on with the exponent between the two largest sizes (at least 1), memory with the bytes of one more item or
user between them. What is not measured is arithmetic: the vectors' bytes, and SFT by 6 FLOP for each parameter and
token (8 with checkpointing, which computes twice what goes forward).
"""

import json
from typing import Final

import click

from benchmarks.growth import KEPT
from benchmarks.growth_points import Growth, Point, growths
from gream.sizing_page import QWEN_4B

USERS, ITEMS = 10**8, 10**7
BY_ITEMS: Final = ("enrichment", "k-means", "index", "item language", "trie")
"""Stages whose work is the items'; the others' is that of users and their events."""
FIXED: Final = ("ranking", "beam search", "exact scores")
"""For a fixed number of users, so no stage of a whole shop."""
WIDTHS: Final = {"minilm": 384, QWEN_4B.name: QWEN_4B.hidden}
CODES: Final = 256
EVENTS, ITEM_TOKENS, OTHER_TOKENS = 12, 4, 60
"""Of a user; of an item; of a prompt's words and the chat's marks around a sequence."""
TEXT_TOKENS, TEXT_TASKS = 150, 5
"""Of an item's text with its prompt; examples that speak of each item."""
GPU_FLOPS, SHARE = 989e12, 0.4
"""Dense bfloat16 of an H100, as its maker says, and what training may get of it (assumed)."""


def carried_on(growth: Growth) -> tuple[int, float, float]:
    """The size that a stage would have, its hours and its GiB."""
    size = ITEMS if growth.stage in BY_ITEMS else USERS
    last = growth.points[-1]
    exponent = max(growth.exponents("seconds")[0], 1.0)
    mib = last.mib + growth.bytes_an_item * (size - last.size) / 2**20
    return size, last.seconds * (size / last.size) ** exponent / 3_600, mib / 1_024


@click.command(help=__doc__)
def main() -> None:
    points = [Point(**point) for point in json.loads(KEPT.read_text(encoding="utf-8"))]
    click.echo(f"{'one process':<16}{'size':>14}{'hours':>10}{'GiB':>10}")
    for growth in growths(points):
        if growth.stage not in FIXED:
            size, hours, gib = carried_on(growth)
            click.echo(f"{growth.stage:<16}{size:>14,}{hours:>10,.1f}{gib:>10,.0f}")

    click.echo(f"\n{'vectors, two fields':<32}{'GiB stored':>12}{'GiB to cluster':>16}")
    for encoder, width in WIDTHS.items():
        stored, clustered = (ITEMS * 4 * floats / 2**30 for floats in (2 * width, 2 * width + CODES))
        click.echo(f"{encoder:<32}{stored:>12,.0f}{clustered:>16,.0f}")

    sequences = USERS * (EVENTS * ITEM_TOKENS + OTHER_TOKENS)
    texts = ITEMS * TEXT_TASKS * TEXT_TOKENS
    click.echo(f"\n{'SFT, one pass':<16}{'tokens':>16}{'GPU hours':>12}")
    for name, tokens in (("sequences", sequences), ("item texts", texts)):
        hours = 8 * QWEN_4B.parameters * tokens / (GPU_FLOPS * SHARE) / 3_600
        click.echo(f"{name:<16}{tokens:>16,}{hours:>12,.0f}")


if __name__ == "__main__":
    main()
