"""Trie-constrained beam search beside Transformers' `generate` with a `prefix_allowed_tokens_fn`, GREAM's own way.

    python -m benchmarks.beam_search [--model smollm2]

An untrained Qwen3 of 1.2 million parameters, prompts of 51 tokens, items of four tokens from 256 a level; or one with
the layers of SmolLM2-135M, in bfloat16, as one that a GPU would serve. The peer renormalises the legal tokens
(`renormalize_logits`), so that both rank by the same scores, and their first ten items are compared. The floor are the
bare forward passes: each prompt once, then each level's beams behind the cache. Prompts that begin alike go below it,
since ours reads what they have in common once. The three take turns, after one call of each that is not timed. The
roofline is what the passes' arithmetic, or reading the weights once a pass, would take at the rates of
`benchmarks.machine`, and its share of gream's time the last column but one.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import click
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM

from benchmarks.machine import DEVICE, copy_rate, name, product_rate
from benchmarks.ratio import NoComparisonError, Ratio
from benchmarks.timing import best_of, in_turns
from gream.decoding.beam import beam_search
from gream.decoding.trie import TokenTrie

LEVELS, CODES, FIRST_CODE = 4, 256, 500
PROMPT = 51
COMMON = 20
"""Tokens that the prompts of the second table begin with: two fifths, as prompts of Amazon Beauty do."""
AGREED = 10
SAME: Final = 0.99
"""Share of the peer's first ten items that ours has to have in float32: rounding may exchange one of many."""
GROWTH_BATCH = 16
"""Prompts that catalogues of growing size are searched for."""
HEADLINE: Final = (
    "   items  beams  batch     gream  generate      bare  generate/gream  gream/bare  roofline  same first ten"
)
Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Shape:
    """What a model is made of; its feed-forward is 8/3 as wide as its layers."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    dtype: torch.dtype


SHAPES: Final = {
    "tiny": Shape(width=192, layers=2, heads=4, key_value_heads=4, dtype=torch.float32),
    "smollm2": Shape(width=576, layers=30, heads=9, key_value_heads=3, dtype=torch.bfloat16),
}


def untrained_qwen3(shape: Shape) -> Any:
    """Logits are spread widely enough that no two items tie by accident."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=FIRST_CODE + LEVELS * CODES,
        hidden_size=shape.width,
        intermediate_size=shape.width * 8 // 3,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.width // shape.heads,
        max_position_embeddings=512,
        initializer_range=0.1,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    return Qwen3ForCausalLM(config).to(DEVICE, shape.dtype).eval()


def catalogue(items: int, random: np.random.Generator) -> Rows:
    """(items, LEVELS) token ids of different items."""
    numbers = random.choice(CODES**LEVELS, items, replace=False)
    codes = np.stack([numbers // CODES**level % CODES for level in range(LEVELS)], axis=1)
    rows: Rows = (codes + FIRST_CODE + CODES * np.arange(LEVELS)).astype(np.int32)
    return rows


def some_prompts(batch: int, common: int, random: np.random.Generator) -> torch.Tensor:
    """(batch, PROMPT) tokens, the first `common` of each row the same."""
    prompts = torch.from_numpy(random.integers(1, FIRST_CODE, (batch, PROMPT)))
    prompts[:, :common] = prompts[0, :common].clone()
    return prompts.to(DEVICE)


class Generate:
    """The peer."""

    def __init__(self, model: Any, rows: Rows) -> None:
        self._model = model
        self._children: dict[tuple[int, ...], set[int]] = defaultdict(set)
        self._item = {}
        for item, row in enumerate(rows.tolist()):
            self._item[tuple(row)] = item
            for place in range(LEVELS):
                self._children[tuple(row[:place])].add(row[place])

    def __call__(self, prompts: torch.Tensor, beams: int) -> NDArray[np.int64]:
        """(B, beams) items."""

        def allowed(_: int, ids: torch.Tensor) -> list[int]:
            return list(self._children[tuple(ids[PROMPT:].tolist())])

        with torch.no_grad():
            found = self._model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                num_beams=beams,
                num_return_sequences=beams,
                max_new_tokens=LEVELS,
                prefix_allowed_tokens_fn=allowed,
                renormalize_logits=True,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )
        items = [self._item[tuple(row)] for row in found[:, PROMPT:].tolist()]
        return np.array(items).reshape(len(prompts), beams)


def bare_passes(model: Any, prompts: torch.Tensor, beams: int) -> None:
    """What no search can do without, except by sharing."""
    with torch.no_grad():
        cache = DynamicCache(config=model.config)
        model(prompts, past_key_values=cache, use_cache=True, logits_to_keep=1)
        for _ in range(LEVELS - 1):
            tokens = torch.randint(FIRST_CODE, (len(prompts), beams), device=DEVICE)
            model(tokens, past_key_values=cache, use_cache=True)


@dataclass(frozen=True)
class Roofline:
    """What the bare passes would take if nothing but arithmetic or memory held them up.

    Attributes:
        flops_a_token: two for each weight of a layer; embeddings and head, small here, are left out.
        weight_bytes: of all layers, read in each pass.
        flops: a second.
        bytes: a second.
    """

    flops_a_token: int
    weight_bytes: int
    flops: float
    bytes: float

    @classmethod
    def of(cls, model: Any) -> "Roofline":
        weights = [weight for layer in model.model.layers for weight in layer.parameters()]
        numbers = sum(weight.numel() for weight in weights)
        return cls(2 * numbers, numbers * model.dtype.itemsize, product_rate(model.dtype), copy_rate())

    def seconds(self, batch: int, beams: int) -> float:
        """Of the prompts' pass and those of all levels but the first."""
        tokens = [batch * PROMPT, *[batch * beams] * (LEVELS - 1)]
        return sum(max(self.flops_a_token * count / self.flops, self.weight_bytes / self.bytes) for count in tokens)


@dataclass(frozen=True)
class Compared:
    """One search by all three.

    Attributes:
        ours: seconds of each round.
        generate: of the peer's.
        bare: of the bare passes.
        same: share of the first ten items that both have, the mean over the prompts.
    """

    ours: list[float]
    generate: list[float]
    bare: list[float]
    same: float

    @classmethod
    def of(
        cls, model: Any, prompts: torch.Tensor, trie: TokenTrie, generate: Generate, beams: int, rounds: int
    ) -> Self:
        """Each once untimed, then so many rounds in turns."""
        ids = prompts.tolist()
        search = partial(beam_search, model, ids, trie, beams)
        peer, floor = partial(generate, prompts, beams), partial(bare_passes, model, prompts, beams)
        found, theirs, _ = search(), peer(), floor()
        shared = [
            len({*a[:AGREED].tolist()} & {*b[:AGREED].tolist()}) / AGREED
            for a, b in zip(found.items, theirs, strict=True)
        ]
        ours, of_peer, bare = in_turns(rounds, search, peer, floor)
        return cls(ours, of_peer, bare, float(np.mean(shared)))


def ratios(rounds: int = 3) -> list[Ratio]:
    """Against `generate` and against the bare passes, for few and many beams, one prompt and many, alike or not.

    Raises:
        NoComparisonError: ours finds other items than the peer.
    """
    model, random = untrained_qwen3(SHAPES["tiny"]), np.random.default_rng(0)
    rows = catalogue(12_000, random)
    trie, generate = TokenTrie.build(rows.tolist()), Generate(model, rows)
    found = []
    for beams, batch, common in ((10, 1, 0), (10, 64, 0), (10, 64, COMMON), (50, 16, 0)):
        one = Compared.of(model, some_prompts(batch, common, random), trie, generate, beams, rounds)
        case = f"{beams} beams, batch {batch}" + (f", {common} tokens in common" if common else "")
        if one.same < SAME:
            raise NoComparisonError(f"beam search has only {one.same:.1%} of generate's first {AGREED} items: {case}.")
        for peer, seconds in (("generate", one.generate), ("the bare passes", one.bare)):
            detail = f"{1_000 * min(one.ours):.1f} ms and {1_000 * min(seconds):.1f} ms"
            found.append(Ratio.of_rounds(f"beam search beside {peer}, {case}", one.ours, seconds, detail))
    return found


@click.command(help=__doc__)
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 16, 64, 256), show_default=True)
@click.option("--beams", "widths", multiple=True, type=int, default=(10, 50), show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Of each; the quickest counts.")
@click.option("--model", "shape", type=click.Choice(list(SHAPES)), default="tiny", show_default=True)
def main(batches: tuple[int, ...], widths: tuple[int, ...], rounds: int, shape: str) -> None:
    model, random = untrained_qwen3(SHAPES[shape]), np.random.default_rng(0)
    roofline = Roofline.of(model)
    prompts = some_prompts(max(*batches, GROWTH_BATCH), 0, random)
    click.echo(f"{name()}; {roofline.flops / 1e12:.2f} TFLOP/s in {model.dtype}, {roofline.bytes / 1e9:.0f} GB/s")
    click.echo("milliseconds; bare: forward passes alone\n")
    for common in (0, COMMON):
        alike = some_prompts(max(batches), common, random)
        click.echo(f"Prompts of {PROMPT} tokens, the first {common} in common")
        click.echo(HEADLINE)
        for line in _against_generate(model, roofline, alike, batches, widths, rounds, random):
            click.echo(line)
    click.echo(f"\n   items  bytes an item     gream  (10 beams, batch {GROWTH_BATCH})")
    for items in (12_000, 100_000, 1_000_000):
        trie = TokenTrie.build(catalogue(items, random).tolist())
        _, seconds = best_of(rounds, lambda trie=trie: beam_search(model, prompts[:GROWTH_BATCH].tolist(), trie, 10))  # type: ignore[misc]
        click.echo(f"{items:>8}  {trie.nbytes / items:>13.1f}  {1_000 * seconds:>8.1f}")
        gc.collect()


def _against_generate(
    model: Any,
    roofline: Roofline,
    prompts: torch.Tensor,
    batches: tuple[int, ...],
    widths: tuple[int, ...],
    rounds: int,
    random: np.random.Generator,
) -> Iterator[str]:
    rows = catalogue(12_000, random)
    trie, generate = TokenTrie.build(rows.tolist()), Generate(model, rows)
    for beams in widths:
        for batch in batches:
            one = Compared.of(model, prompts[:batch], trie, generate, beams, rounds)
            seconds, peer, bare = min(one.ours), min(one.generate), min(one.bare)
            milliseconds = "  ".join(f"{1_000 * taken:>8.1f}" for taken in (seconds, peer, bare))
            share = roofline.seconds(batch, beams) / seconds
            ratios = f"{peer / seconds:>14.1f}  {seconds / bare:>10.2f}  {share:>8.1%}  {one.same:>14.3f}"
            yield f"{len(rows):>8}  {beams:>5}  {batch:>5}  {milliseconds}  {ratios}"


if __name__ == "__main__":
    main()
