"""Points that change places: a balanced assignment made cheaper, its cluster sizes still within their bounds.

What prices and repair leave is that a point stands where there was room, not where it would be cheap. So points move
on: along an open chain from a cluster that can spare a point to one with room, or round a closed one, which changes no
size: a swap, or three clusters that pass a point on. What a step from cluster a to b costs at least is a table
`(k, k)`: over the points of a, the least `cost[b] - cost[a]`. The cheapest chain of at most three steps from each
cluster is read from it, chains with no cluster in common are taken at once, and it is renewed where they passed.
"""

from itertools import pairwise

import torch

ROUNDS = 24
LEAST_SHARE = 1e-4
"""Of the points: where a round moves fewer, it was the last. (It moves less than 2 k of them, so large problems, whose
repair moves a small share, get one.)"""
NEAR = 16
"""Cheapest first steps of each cluster that are followed."""
CHUNK_ROWS = 8_192
"""Points whose costs are copied at a time."""


def exchange(cost: torch.Tensor, labels: torch.Tensor, lower: int, upper: int) -> torch.Tensor:
    """Labels `(n,)` of no higher cost.

    Args:
        cost: `(n, k)`.
        labels: `(n,)` int64, every cluster's size within the bounds.
        lower: smallest legal size.
        upper: largest legal size.
    """
    n, k = cost.shape
    labels = labels.clone()
    touched = torch.arange(k, device=cost.device)
    step, mover = cost.new_empty(k, k), labels.new_empty(k, k)
    for _ in range(ROUNDS):
        sizes = torch.bincount(labels, minlength=k)
        step[touched], mover[touched] = _cheapest_steps(cost, _members(labels, sizes)[touched], touched)
        chains = _chains(step, spare=sizes > lower, room=sizes < upper)
        if not chains:
            break
        source, goal = torch.tensor([move for chain in chains for move in chain], device=cost.device).T
        labels[mover[source, goal]] = goal
        if len(source) < LEAST_SHARE * n:
            break
        touched = torch.bincount(torch.cat([source, goal])).nonzero().squeeze(1)
    return labels


def _members(labels: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """The points of each cluster `(k, largest size)`, -1 where it has no more."""
    order = labels.argsort(stable=True)
    group = labels[order]
    place = torch.arange(len(labels), device=labels.device) - (sizes.cumsum(0) - sizes)[group]
    members = labels.new_full((len(sizes), int(sizes.max())), -1)
    members[group, place] = order
    return members


def _cheapest_steps(
    cost: torch.Tensor, members: torch.Tensor, clusters: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """From m clusters with these `members` to every other: the least that it costs `(m, k)` and the point `(m, k)`."""
    steps, movers = [], []
    at_a_time = max(CHUNK_ROWS // members.shape[1], 1)
    for start in range(0, len(clusters), at_a_time):
        own, points = clusters[start : start + at_a_time], members[start : start + at_a_time]
        costs = cost[points.clamp(min=0)]
        costs -= costs.gather(2, own[:, None, None].expand(-1, points.shape[1], 1))
        costs.masked_fill_((points < 0)[:, :, None], torch.inf)
        least, place = costs.min(dim=1)
        steps.append(least.scatter_(1, own[:, None], 0.0))
        movers.append(points.gather(1, place))
    return torch.cat(steps), torch.cat(movers)


def _chains(step: torch.Tensor, spare: torch.Tensor, room: torch.Tensor) -> list[list[tuple[int, int]]]:
    """Chains that lower the cost, as moves from cluster to cluster; no two pass the same cluster.

    From each cluster the cheapest `first -> middle -> last`, and back to the first unless the first can `spare` a point
    and the last has `room` for one. Standing still costs nothing, so shorter chains are among them.
    """
    near = step.topk(min(NEAR, len(step)), dim=1, largest=False).indices
    two, middle = (step.gather(1, near)[:, :, None] + step[near]).min(dim=1)
    middle = near.gather(1, middle)
    open_ended = spare[:, None] & room
    gain, last = (two + step.T.masked_fill(open_ended, 0.0)).min(dim=1)
    ends = last[:, None]
    columns = (gain, middle.gather(1, ends).squeeze(1), last, open_ended.gather(1, ends).squeeze(1))
    gains, middles, lasts, opens = (column.tolist() for column in columns)
    chains: list[list[tuple[int, int]]] = []
    passed: set[int] = set()
    for first in gain.argsort(stable=True).tolist():
        if gains[first] >= 0:
            break
        path = list(dict.fromkeys((first, middles[first], lasts[first])))
        if passed.isdisjoint(path):
            passed.update(path)
            stops = path if opens[first] and lasts[first] != first else [*path, first]
            chains.append(list(pairwise(stops)))
    return chains
