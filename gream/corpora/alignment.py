"""The six alignment tasks (paper, section 3.1): index tokens learn what they mean, as sequences and as text.

- `seqrec`: a user's sequence of indices, in windows; the loss on every item is next-item prediction.
- `item2index`, `index2item`: title or profile -> index, index -> title.
- `fusionseqrec`: history as indices -> next title; history as titles -> next index.
- `itemsearch`: what somebody looks for -> index.
- `preferenceobtain`: history as indices -> what this user likes.

Histories and their targets come from the training sequences alone. The item texts are the whole catalogue's: an item
that nobody has bought yet is named by its index all the same. Where a text is empty the example is left out.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from gream.config import CorpusConfig
from gream.corpora.cuts import sample_steps, windows
from gream.corpora.example import Example
from gream.corpora.items import Item
from gream.corpora.texts import TextWriter
from gream.prompts import load_prompts

TITLES_IN_PROMPT = 5
"""Most recent titles that a text history holds; a title is many tokens where an index is four."""


def alignment_examples(
    sequences: Mapping[str, Sequence[str]],
    items: Mapping[str, Item],
    writer: TextWriter,
    config: CorpusConfig,
    rng: np.random.Generator,
) -> list[Example]:
    """All alignment examples, task by task; the curriculum shuffles them.

    Args:
        sequences: user -> item ids of the training part, in time order.
        items: every item of the catalogue.
        writer: makes the texts of `preferenceobtain` and `itemsearch`.
        config: windows and amounts.
        rng: source of randomness for cuts and wordings.
    """
    sequence_rng, naming_rng, fusion_rng, preference_rng, search_rng = rng.spawn(5)
    return [
        *sequence_examples(sequences, items, config, sequence_rng),
        *naming_examples(items, config.text_passes, naming_rng),
        *fusion_examples(sequences, items, config, fusion_rng),
        *preference_examples(sequences, items, writer, config, preference_rng),
        *search_examples(items, writer, config.itemsearch_samples, search_rng),
    ]


def sequence_examples(
    sequences: Mapping[str, Sequence[str]], items: Mapping[str, Item], config: CorpusConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """`seqrec`: every training sequence, cut anew in each pass into windows of `history_window` + 1 items.

    Every event is in one window a pass. In every other pass the last window ends with the sequence and is whole, since
    recent behaviour matters most; in between the cuts lie at random, so that no event always begins a window.
    """
    prompts = load_prompts("policy")["direct"]["prompts"]
    size = config.history_window + 1
    indices = {item_id: item.index for item_id, item in items.items()}
    for turn in tqdm(range(config.seqrec_passes), desc="sequences", unit="pass"):
        for sequence in sequences.values():
            loose = turn % 2 == 1 and len(sequence) > size
            offset = int(rng.integers(size)) if loose else 0
            for start, stop in windows(len(sequence), size, offset):
                answer = "".join(indices[item] for item in sequence[start:stop])
                yield Example("seqrec", _pick(prompts, rng), answer)


def naming_examples(items: Mapping[str, Item], passes: int, rng: np.random.Generator) -> Iterator[Example]:
    """`item2index` (from the title or the profile, at random) and `index2item`, `passes` times for every item."""
    forms = load_prompts("alignment")
    for _ in range(passes):
        for item in items.values():
            texts = [text for text in (item.title, item.profile) if text]
            if texts:
                prompt = _pick(forms["item2index"]["prompts"], rng).format(text=_pick(texts, rng))
                yield Example("item2index", prompt, item.index)
            if item.title:
                prompt = _pick(forms["index2item"]["prompts"], rng).format(index=item.index)
                yield Example("index2item", prompt, item.title)


def fusion_examples(
    sequences: Mapping[str, Sequence[str]], items: Mapping[str, Item], config: CorpusConfig, rng: np.random.Generator
) -> Iterator[Example]:
    """`fusionseqrec`: one random step of every sequence in each direction and text pass."""
    forms = load_prompts("alignment")["fusionseqrec"]
    for _ in range(config.text_passes):
        for sequence in sequences.values():
            if len(sequence) < 2:
                continue
            position = int(rng.integers(1, len(sequence)))
            if title := items[sequence[position]].title:
                history = _indices(sequence, position, config.history_window, items)
                yield Example("fusionseqrec", _pick(forms["to_title"], rng).format(history=history), title)
            position = int(rng.integers(1, len(sequence)))
            recent = sequence[max(0, position - TITLES_IN_PROMPT) : position]
            if titles := "; ".join(items[item].title for item in recent if items[item].title):
                prompt = _pick(forms["to_index"], rng).format(titles=titles)
                yield Example("fusionseqrec", prompt, items[sequence[position]].index)


def preference_examples(
    sequences: Mapping[str, Sequence[str]],
    items: Mapping[str, Item],
    writer: TextWriter,
    config: CorpusConfig,
    rng: np.random.Generator,
) -> Iterator[Example]:
    """`preferenceobtain`: one random beginning of every sequence in each text pass, or `preference_samples` of them."""
    prompts = load_prompts("alignment")["preferenceobtain"]["prompts"]
    if config.preference_samples:
        steps = sample_steps(sequences, config.preference_samples, minimum_history=1, rng=rng)
        cuts = [(sequences[user], position) for user, position in steps]
    else:
        cuts = [
            (sequence, int(rng.integers(1, len(sequence) + 1)))
            for _ in range(config.text_passes)
            for sequence in sequences.values()
        ]
    window = config.history_window
    texts = writer.preferences(
        [[items[item] for item in sequence[max(0, end - window) : end]] for sequence, end in cuts]
    )
    for (sequence, end), text in zip(cuts, texts, strict=True):
        if text:
            history = _indices(sequence, end, window, items)
            yield Example("preferenceobtain", _pick(prompts, rng).format(history=history), text)


def search_examples(
    items: Mapping[str, Item], writer: TextWriter, samples: int, rng: np.random.Generator
) -> Iterator[Example]:
    """`itemsearch`: `samples` draws that take every item once before any twice."""
    prompts = load_prompts("alignment")["itemsearch"]["prompts"]
    everything = list(items.values())
    rounds = -(-samples // len(everything))
    drawn = [everything[place] for _ in range(rounds) for place in rng.permutation(len(everything))][:samples]
    for item, intent in zip(drawn, writer.intents(drawn), strict=True):
        if intent:
            yield Example("itemsearch", _pick(prompts, rng).format(intent=intent), item.index)


def _indices(sequence: Sequence[str], end: int, window: int, items: Mapping[str, Item]) -> str:
    return "".join(items[item].index for item in sequence[max(0, end - window) : end])


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
