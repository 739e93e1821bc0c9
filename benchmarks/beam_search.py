"""Trie-constrained beam search beside Transformers' `generate` with a `prefix_allowed_tokens_fn`, GREAM's own way.

    python -m benchmarks.beam_search

An untrained Qwen3 of 1.2 million parameters, prompts of 51 tokens, items of four tokens from 256 a level. The peer
renormalises the legal tokens (`renormalize_logits`), so that both rank by the same scores, and their first ten items
are compared. The floor are the bare forward passes: each prompt once, then each level's beams behind the cache. Prompts
that begin alike go below it, since ours reads what they have in common once.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM

from benchmarks.ratio import Ratio
from benchmarks.timing import best_of, rounds_of
from gream.decoding.beam import beam_search
from gream.decoding.trie import TokenTrie

LEVELS, CODES, FIRST_CODE = 4, 256, 500
PROMPT = 51
COMMON = 20
"""Tokens that the prompts of the second table begin with: two fifths, as prompts of Amazon Beauty do."""
AGREED = 10
GROWTH_BATCH = 16
"""Prompts that catalogues of growing size are searched for."""
Rows = NDArray[np.int32]


def tiny_qwen3() -> Any:
    """Logits are spread widely enough that no two items tie by accident."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=FIRST_CODE + LEVELS * CODES,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=48,
        max_position_embeddings=512,
        initializer_range=0.1,
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    return Qwen3ForCausalLM(config).eval()


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
    return prompts


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
            tokens = torch.randint(FIRST_CODE, (len(prompts), beams))
            model(tokens, past_key_values=cache, use_cache=True)


def ratios(rounds: int = 3) -> list[Ratio]:
    """Against `generate` and against the bare passes, for few and many beams, one prompt and many, alike or not."""
    model, random = tiny_qwen3(), np.random.default_rng(0)
    rows = catalogue(12_000, random)
    trie, generate = TokenTrie.build(rows.tolist()), Generate(model, rows)
    found = []
    for beams, batch, common in ((10, 1, 0), (10, 64, 0), (10, 64, COMMON), (50, 16, 0)):
        prompts = some_prompts(batch, common, random)
        ids = prompts.tolist()
        ours = rounds_of(rounds, lambda: beam_search(model, ids, trie, beams))  # noqa: B023 - called at once
        theirs = rounds_of(rounds, lambda: generate(prompts, beams))  # noqa: B023 - called at once
        bare = rounds_of(rounds, lambda: bare_passes(model, prompts, beams))  # noqa: B023 - called at once
        case = f"{beams} beams, batch {batch}" + (f", {common} tokens in common" if common else "")
        for peer, seconds in (("generate", theirs), ("the bare passes", bare)):
            detail = f"{1_000 * min(ours):.1f} ms and {1_000 * min(seconds):.1f} ms"
            found.append(Ratio.of_rounds(f"beam search beside {peer}, {case}", ours, seconds, detail))
    return found


@click.command(help=__doc__)
@click.option("--batch", "batches", multiple=True, type=int, default=(1, 16, 64, 256), show_default=True)
@click.option("--beams", "widths", multiple=True, type=int, default=(10, 50), show_default=True)
@click.option("--rounds", default=5, show_default=True, help="Of each; the quickest counts.")
def main(batches: tuple[int, ...], widths: tuple[int, ...], rounds: int) -> None:
    model, random = tiny_qwen3(), np.random.default_rng(0)
    prompts = some_prompts(max(*batches, GROWTH_BATCH), 0, random)
    click.echo(f"{torch.get_num_threads()} threads; milliseconds; bare: forward passes alone\n")
    for common in (0, COMMON):
        alike = some_prompts(max(batches), common, random)
        click.echo(f"Prompts of {PROMPT} tokens, the first {common} in common")
        click.echo("   items  beams  batch     gream  generate      bare  generate/gream  gream/bare  same first ten")
        for line in _against_generate(model, alike, batches, widths, rounds, random):
            click.echo(line)
    click.echo(f"\n   items  bytes an item     gream  (10 beams, batch {GROWTH_BATCH})")
    for items in (12_000, 100_000, 1_000_000):
        trie = TokenTrie.build(catalogue(items, random).tolist())
        _, seconds = best_of(rounds, lambda trie=trie: beam_search(model, prompts[:GROWTH_BATCH].tolist(), trie, 10))  # type: ignore[misc]
        click.echo(f"{items:>8}  {trie.nbytes / items:>13.1f}  {1_000 * seconds:>8.1f}")
        gc.collect()


def _against_generate(
    model: Any,
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
            some = prompts[:batch]
            ids = some.tolist()
            ours, seconds = best_of(rounds, lambda: beam_search(model, ids, trie, beams))  # noqa: B023 - called at once
            theirs, peer = best_of(max(1, rounds // 2), lambda: generate(some, beams))  # noqa: B023 - called at once
            _, bare = best_of(rounds, lambda: bare_passes(model, some, beams))  # noqa: B023 - called at once
            shared = [
                len({*a[:AGREED].tolist()} & {*b[:AGREED].tolist()}) / AGREED
                for a, b in zip(ours.items, theirs, strict=True)
            ]
            milliseconds = "  ".join(f"{1_000 * one:>8.1f}" for one in (seconds, peer, bare))
            ratios = f"{peer / seconds:>14.1f}  {seconds / bare:>10.2f}  {np.mean(shared):>14.3f}"
            yield f"{len(rows):>8}  {beams:>5}  {batch:>5}  {milliseconds}  {ratios}"


if __name__ == "__main__":
    main()
