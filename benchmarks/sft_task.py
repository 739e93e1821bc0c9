"""What both sides of the SFT benchmark learn: the next items of MovieLens-100K, with the laptop profile's model.

Items are indexed by their collaborative vectors alone: it takes seconds, and what an index is made of changes neither
the model nor the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gream import columns
from gream.config import Profile
from gream.corpora.alignment import sequence_examples
from gream.corpora.curriculum import bucketed_batches
from gream.corpora.items import Item, read_items
from gream.data.importers import import_catalog
from gream.data.movielens import NAME
from gream.data.split import Split, leave_last_one_out
from gream.indexing.collaborative import collaborative_vectors
from gream.indexing.residual_kmeans import BalancedResidualKMeans, shrink
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.model import build_tokenizer
from gream.policy.prompting import IGNORED, EncodedExample, Prompter
from gream.profile_files import load_profile
from gream.prompts import load_prompts
from gream.training.sft import pad_right

JUDGED_AT_ONCE = 64
"""Users in one forward pass of the validation."""


@dataclass(frozen=True)
class Task:
    """One shop, ready to be trained on.

    Attributes:
        profile: the laptop's, which has all sizes.
        split: what trains, and each user's held-out item.
        items: with their index tokens.
        prompter: encodes for the tokenizer of the model from scratch.
        first_level: ids of the tokens that begin an item.
    """

    profile: Profile
    split: Split
    items: dict[str, Item]
    prompter: Prompter
    first_level: frozenset[int]


def movielens(overrides: Sequence[str] = ()) -> Task:
    """MovieLens-100K through the importer, with an index and a tokenizer of its own.

    Args:
        overrides: of the laptop's profile.
    """
    profile = load_profile("laptop", overrides)
    catalog = import_catalog(NAME, k_core=profile.data.k_core)
    split = leave_last_one_out(catalog)
    levels = profile.index.levels
    vectors = collaborative_vectors(split.train.values(), catalog.item_ids, seed=0)
    size = shrink(len(catalog.item_ids), levels, profile.index.codebook_size)
    kmeans = BalancedResidualKMeans(levels, size, seed=0).fit(vectors)
    index = SemanticIndex.from_codes(catalog.item_ids, kmeans.codes, kmeans.sizes)
    prompts = load_prompts("policy")
    texts = [*catalog.items[columns.TITLE], *prompts["direct"]["prompts"]]
    tokenizer = build_tokenizer(profile.model, texts, index.vocabulary)
    prompter = Prompter(tokenizer, prompts, profile.corpus.history_window, profile.corpus.reasoning_window)
    items = read_items(catalog, dict.fromkeys(catalog.item_ids, ""), index)
    first = tokenizer.convert_tokens_to_ids([item.tokens[0] for item in items.values()])
    return Task(profile, split, items, prompter, frozenset(first))


def prefix_samples(task: Task, count: int, seed: int) -> list[dict[str, str]]:
    """`count` of the research code's samples, drawn without repetition: a history, and the item that came next."""
    steps = [(user, place) for user, items in task.split.train.items() for place in range(1, len(items))]
    drawn = np.random.default_rng(seed).permutation(len(steps))[:count]
    histories, targets = [], []
    for user, place in (steps[number] for number in drawn):
        indices = [task.items[item].index for item in task.split.train[user][: place + 1]]
        histories.append(indices[:-1])
        targets.append(indices[-1])
    ids = task.prompter.direct(histories)
    prompts = [task.prompter.decode(row) for row in ids]
    assert task.prompter.encode(prompts) == ids  # TRL tokenises anew.
    return [{"prompt": prompt, "completion": target} for prompt, target in zip(prompts, targets, strict=True)]


def sequence_batches(task: Task, passes: int, batch_tokens: int, seed: int) -> list[list[EncodedExample]]:
    """GREAM's batches of the same users: whole sequences in windows, similar lengths together."""
    config, rng = task.profile.corpus.model_copy(update={"seqrec_passes": passes}), np.random.default_rng(seed)
    examples = list(sequence_examples(task.split.train, task.items, config, rng))
    return bucketed_batches(
        task.prompter.examples(examples),
        task.profile.sft.batch_size,
        batch_tokens,
        length=lambda example: len(example.input_ids),
        rng=rng,
    )


def held_out(task: Task, users: int) -> list[EncodedExample]:
    """The validation item of some users after their whole training history, the loss on its index tokens."""
    chosen = np.random.default_rng(0).permutation(list(task.split.validation))[:users].tolist()
    indices = [[task.items[item].index for item in task.split.validation_history(user)] for user in chosen]
    prompts = task.prompter.direct(indices)
    targets = task.prompter.encode([task.items[task.split.validation[user]].index for user in chosen])
    examples = [
        EncodedExample([*prompt, *target], [IGNORED] * len(prompt) + target)
        for prompt, target in zip(prompts, targets, strict=True)
    ]
    return sorted(examples, key=lambda example: len(example.input_ids))


def validation_loss(model: Any, examples: Sequence[EncodedExample]) -> float:
    """Mean cross-entropy, in nats, of all labelled tokens; in the model's own precision."""
    total, tokens = 0.0, 0
    for start in range(0, len(examples), JUDGED_AT_ONCE):
        batch = {
            name: rows.to(model.device) for name, rows in as_tensors(examples[start : start + JUDGED_AT_ONCE]).items()
        }
        labels = batch["labels"][:, 1:]
        with torch.inference_mode():
            logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
        taken = labels != IGNORED
        total += float(cross_entropy(logits[taken], labels[taken], reduction="sum"))
        tokens += int(taken.sum())
    return total / tokens


def as_tensors(examples: Sequence[EncodedExample]) -> dict[str, Tensor]:
    """(B, L) tensors, padded by the trainer's own function; padding is never looked at, so that any id will do."""
    return pad_right(0, [{"input_ids": example.input_ids, "labels": example.labels} for example in examples])
