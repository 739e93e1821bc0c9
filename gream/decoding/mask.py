"""Log-probabilities for the trainer under the same trie mask that the sampler applied.

With constrained sampling, log-probabilities over the legal tokens and over the whole vocabulary differ by the legal
mass at each step; a ratio between the two is no importance ratio (https://github.com/huggingface/trl/issues/6789).
An answer's tokens are therefore renormalised over the children of their trie node, and a chain's by its grounding. For
answers only the logits of legal tokens are gathered; no mask over the vocabulary is made.
"""

from typing import TypeVar

import torch
from torch import Tensor

from gream.decoding.grounding import Grounding
from gream.errors import RequestError

Node = TypeVar("Node", int, Tensor)


PUT_IN = torch.iinfo(torch.int64).min
"""Stands for the node of a token that nobody chose; it has log-probability and entropy 0."""


def chain_code(node: Node) -> Node:
    """How `masked_log_probs` is told that a token of a chain was chosen at this state of the grounding.

    >>> chain_code(0), chain_code(7)
    (-1, -8)
    """
    return -1 - node


def masked_log_probs(
    logits: Tensor, tokens: Tensor, nodes: Tensor, grounding: Grounding, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log-probability of each taken token, and the entropy of the distribution that it was taken from.

    Args:
        logits: (B, T, V), those that predict `tokens` (already shifted).
        tokens: (B, T) int64.
        nodes: (B, T) int64: of an answer's token the trie node at which it was chosen, of a chain's the `chain_code`;
            `PUT_IN` where nobody chose.
        grounding: B rows, on the device of the logits; its trie is that of the answers too.
        temperature: divides the logits, as in the sampler.

    Returns:
        (B, T) log-probabilities and (B, T) entropies in nats, both differentiable, in float32.

    Raises:
        RequestError: a constrained token is not a child of its node.
    """
    log_probs = torch.zeros(tokens.shape, device=logits.device)
    entropies = torch.zeros(tokens.shape, device=logits.device)
    trie = grounding.trie
    thought = (nodes < 0) & (nodes != PUT_IN)
    if thought.any():
        rows = thought.nonzero(as_tuple=True)[0]
        grounded, _ = grounding.select(rows).log_probs(logits[thought], chain_code(nodes[thought]), temperature)
        log_probs[thought] = grounded.gather(-1, tokens[thought][:, None])[:, 0]
        entropies[thought] = _entropy(grounded)
    held = nodes >= 0
    if held.any():
        children, real = trie.successors(nodes[held], max(trie.max_branching))
        legal = trie.log_probs(logits[held], children, real, temperature)
        taken = real & (trie.token[children] == tokens[held][:, None])
        if not taken.any(-1).all():
            row, step = (int(axis[~taken.any(-1)][0]) for axis in held.nonzero(as_tuple=True))
            raise RequestError(
                f"token {int(tokens[row, step])} at row {row}, step {step} is not a child of trie node "
                f"{int(nodes[row, step])}: tokens and nodes do not belong together."
            )
        log_probs[held] = legal.gather(-1, taken.int().argmax(-1, keepdim=True))[:, 0]
        entropies[held] = _entropy(legal)
    return log_probs, entropies


def _entropy(log_probs: Tensor) -> Tensor:
    """Entropy over the last axis; impossible entries (-inf) count 0."""
    return -(log_probs.exp() * log_probs.clamp(min=torch.finfo(log_probs.dtype).min)).sum(-1)
