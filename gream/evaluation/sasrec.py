"""SASRec (Kang & McAuley, 2018): the strong non-generative baseline, in torch.

A causal transformer reads the item numbers of a history, left-padded, with learned positions, and scores the next item
by the dot product of its last state with the item embeddings (tied output).

Differences from the original, each of which makes the baseline stronger:
1) full-softmax cross-entropy over all items instead of one sampled negative with a binary loss;
2) layer norm before each block instead of after it, and GELU;
3) long sequences are cut into windows at a phase drawn anew in every epoch, so that every event is trained as a target
   and not only those of the last window.
Left out: no side information, no negative sampling, no ensembling. The epoch with the best validation NDCG@10 is kept.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from gream.evaluation.ranking import rank_histories, user_values

WARMUP = 0.1


@dataclass(frozen=True)
class SasrecSettings:
    """Architecture and optimiser."""

    window: int = 50
    hidden: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.3
    learning_rate: float = 6e-3
    weight_decay: float = 0.01
    batch_tokens: int = 1_600
    """Windows of like length share a batch of about this many items."""
    epochs: int = 30
    """Length of the learning-rate schedule: a linear warm-up, then a cosine to 0."""
    patience: int = 8
    """Epochs without a better validation NDCG@10 before training stops."""


class _Block(nn.Module):
    """Pre-norm causal self-attention and a feed-forward layer, `(b, t, hidden)` to the same."""

    def __init__(self, settings: SasrecSettings) -> None:
        super().__init__()
        hidden = settings.hidden
        self.heads, self.dropout = settings.heads, settings.dropout
        self.attention_norm, self.feed_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.qkv, self.out = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.feed = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """`mask` is `(b, 1, t, t)`, True where a query may look."""
        batch, length, hidden = states.shape
        q, k, v = self.qkv(self.attention_norm(states)).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, length, hidden))
        states = states + functional.dropout(mixed, self.dropout, self.training)
        return states + functional.dropout(self.feed(self.feed_norm(states)), self.dropout, self.training)


class Sasrec(nn.Module):
    """The model. Inside, item `i` is token `i + 1` and 0 is padding."""

    name = "sasrec"

    def __init__(self, n_items: int, settings: SasrecSettings) -> None:
        super().__init__()
        self.settings = settings
        self.items = nn.Embedding(n_items + 1, settings.hidden, padding_idx=0)
        self.positions = nn.Embedding(settings.window, settings.hidden)
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.hidden)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, std=settings.hidden**-0.5)

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.items.weight.device

    def forward(self, tokens: Tensor) -> Tensor:
        """States `(b, t, hidden)` of left-padded tokens `(b, t)`, t <= window."""
        length = tokens.shape[1]
        # Positions count from the end of the window, so that dropping columns of padding changes nothing.
        positions = torch.arange(self.settings.window - length, self.settings.window, device=tokens.device)
        states = self.items(tokens) + self.positions(positions)
        states = functional.dropout(states, self.settings.dropout, self.training)
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        # A padded query still sees itself: a row without any key would be NaN.
        mask = causal & ((tokens != 0)[:, None, None, :] | torch.eye(length, dtype=torch.bool, device=tokens.device))
        for block in self.blocks:
            states = block(states, mask)
        scaled: Tensor = self.norm(states)
        return scaled

    def logits(self, states: Tensor) -> Tensor:
        """Scores of all items, `(..., hidden)` to `(..., n_items)`."""
        return states @ self.items.weight[1:].T

    @torch.inference_mode()
    def score(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits of every item after each history, `(b, n_items)` float32; an empty history is scored from padding."""
        self.eval()
        tokens = _left_pad([list(history)[-self.settings.window :] for history in histories]).to(self.device)
        scores: np.ndarray = self.logits(self(tokens)[:, -1]).cpu().numpy()
        return scores


def train_sasrec(
    sequences: Sequence[Sequence[int]],
    validation: Sequence[tuple[Sequence[int], int]],
    n_items: int,
    exclude_seen: bool,
    settings: SasrecSettings,
    seed: int,
) -> Sasrec:
    """Train until validation NDCG@10 stops rising and return the best epoch's model, on the GPU where there is one.

    A batch holds the logits of all items for some 1,500 events three times over: 18 KB for each item of the catalogue.

    Args:
        sequences: the training part of each user, item numbers in time order; those with one item teach nothing.
        validation: (history, next item) pairs for early stopping, ranked under the same protocol as the test.
        n_items: size of the catalogue.
        exclude_seen: whether items of the history are taken out of the validation ranking.
        settings: architecture and optimiser.
        seed: of weights, dropout, window phases and batch order.
    """
    random = np.random.default_rng(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = Sasrec(n_items, settings).to(device)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
        )
        histories, targets = [list(history) for history, _ in validation], np.array([item for _, item in validation])
        best, best_weights, waited = -1.0, copy.deepcopy(model.state_dict()), 0
        with tqdm(total=settings.epochs, desc="SASRec", unit="epoch") as progress:
            for epoch in range(settings.epochs):
                loss = _train_epoch(model, optimiser, epoch, sequences, random)
                ranked = rank_histories(model, histories, k=10, exclude_seen=exclude_seen)
                ndcg = float(user_values(ranked, targets, (10,))["ndcg@10"].mean())
                waited = 0 if ndcg > best else waited + 1
                if ndcg > best:
                    best, best_weights = ndcg, copy.deepcopy(model.state_dict())
                progress.update()
                progress.set_postfix(loss=f"{loss:.3f}", ndcg=f"{ndcg:.4f}", best=f"{best:.4f}")
                if waited >= settings.patience:
                    break
    model.load_state_dict(best_weights)
    return model


def _train_epoch(
    model: Sasrec,
    optimiser: torch.optim.Optimizer,
    epoch: int,
    sequences: Sequence[Sequence[int]],
    random: np.random.Generator,
) -> float:
    """One pass over every event; the mean loss of an event."""
    model.train()
    settings = model.settings
    total, events = 0.0, 0
    batches = _batches(list(cut_windows(sequences, settings.window, random)), settings.batch_tokens, random)
    for number, windows in enumerate(batches):
        done = (epoch + number / len(batches)) / settings.epochs
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * _warm_cosine(done)
        tokens = _left_pad(windows).to(model.device)
        inputs, labels = tokens[:, :-1], tokens[:, 1:]
        learned = (inputs != 0) & (labels != 0)
        loss = functional.cross_entropy(model.logits(model(inputs)[learned]), labels[learned] - 1)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        total, events = total + float(loss.detach()) * int(learned.sum()), events + int(learned.sum())
    return total / events if events else 0.0


def _warm_cosine(done: float) -> float:
    """Share of the peak learning rate when a share `done` of training is over: linear up to a tenth, cosine to 0."""
    return done / WARMUP if done < WARMUP else 0.5 * (1.0 + math.cos(math.pi * (done - WARMUP) / (1.0 - WARMUP)))


def cut_windows(sequences: Sequence[Sequence[int]], window: int, random: np.random.Generator) -> Iterator[list[int]]:
    """Cut sequences into runs of at most `window + 1` items in which every item but a user's first is once a target.

    Consecutive runs share one item (a target, then a first input). The cut's phase is drawn from `random`.
    """
    for sequence in sequences:
        if len(sequence) < 2:
            continue
        # Ends of the runs, as target positions: the last event, and before it every `window` from a random one on.
        phase = int(random.integers(window)) if len(sequence) > window + 1 else 0
        end = len(sequence) - 1
        while end > 0:
            start = max(end - (phase or window), 0)
            yield list(sequence[start : end + 1])
            end, phase = start, 0


def _batches(windows: list[list[int]], tokens: int, random: np.random.Generator) -> list[list[list[int]]]:
    """Batches of windows of similar length (little padding), each of about `tokens` tokens, in random order."""
    order = np.lexsort((random.random(len(windows)), np.array([len(window) for window in windows])))
    batches: list[list[list[int]]] = []
    for place in order:
        if not batches or (len(batches[-1]) + 1) * len(windows[place]) > tokens:
            batches.append([])
        batches[-1].append(windows[place])
    return [batches[place] for place in random.permutation(len(batches))]


def _left_pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Token matrix `(b, longest)` of item numbers, shifted by one, zeros on the left."""
    width = max(max(map(len, rows), default=1), 1)
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    for line, row in zip(tokens, rows, strict=True):
        if row:
            line[width - len(row) :] = np.asarray(row) + 1
    return torch.from_numpy(tokens)
