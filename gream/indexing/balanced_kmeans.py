"""One balanced k-means: clusters of nearly equal size (paper, section 3.1), without a flow solver.

Lloyd's iterations in which the assignment step is a transport problem: minimise the sum of costs subject to every
cluster's size lying within `size_bounds`. Its linear-programming dual has one price for each cluster, and at the right
prices the cheapest cluster by `cost + price` *is* the balanced assignment. So:

1. prices: clusters that are too full raise theirs by (half) the regret of the last point that has to leave, clusters
   with room lower theirs by (half) the typical regret; six rounds, starting from the prices of the iteration before;
2. repair: the few points still above or below the bounds are moved, least regret first, until every size is legal.

That is enough to move centroids. The labels that are given back are the last of these after `exchange`, which brings
them close to the optimum of the transport problem.

Each round is a pass over the `(n, k)` costs in torch, so time and memory grow with n * k and the same code runs on a
GPU. What it leaves out: the exact optimum of the transport problem, which only fixes one assignment for centroids that
move anyway, and k-means++ starts, which balance makes superfluous.
"""

import torch
from tqdm import tqdm

from gream.indexing.exchange import exchange

PRICE_ROUNDS = 6
PRICE_STEP = 0.5
"""Clusters move their prices all at once; full steps overshoot and oscillate."""
PATIENCE = 8
"""Rounds of a repair in which points wait for their first choice; those that are left are dealt out."""
CHOICES = 128
"""Clusters among which a point is dealt out."""
CHUNK_ROWS = 8_192
"""Points in one temporary copy of costs: 8 MiB at k = 256, which stay in the cache while they are gone over."""


def size_bounds(n: int, k: int) -> tuple[int, int]:
    """Smallest and largest legal cluster size: `n/k - 1` and `n/k + 1`, rounded outwards.

    >>> size_bounds(12_101, 256), size_bounds(10, 5), size_bounds(3, 3)
    ((46, 49), (1, 3), (0, 2))
    """
    return max(n // k - 1, 0), -(-n // k) + 1


def balanced_kmeans(
    points: torch.Tensor, k: int, iterations: int, generator: torch.Generator, name: str = "k-means"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster `points` into `k` clusters whose sizes lie within `size_bounds`.

    Args:
        points: `(n, d)` float32 with `n >= k`.
        k: number of clusters.
        iterations: at most so many Lloyd iterations; it stops when no point changes its cluster.
        generator: CPU generator that draws the initial centroids among the points.
        name: of the progress bar.

    Returns:
        Labels `(n,)` int64 and centroids `(k, d)`; each centroid is the mean of its points.
    """
    n = len(points)
    start = torch.randperm(n, generator=generator)[:k].to(points.device)
    centroids = points[start].clone()
    labels = torch.full((n,), -1, device=points.device)
    prices = torch.zeros(k, device=points.device)
    cost = torch.empty(n, k, device=points.device)
    for _ in tqdm(range(iterations), desc=name, leave=False):
        before, (labels, prices) = labels, balanced_assignment(_costs(points, centroids, cost), prices)
        centroids = _means(points, labels, centroids)
        if torch.equal(labels, before):
            break
    labels = exchange(_costs(points, centroids, cost), labels, *size_bounds(n, k))
    return labels, _means(points, labels, centroids)


def _costs(points: torch.Tensor, centroids: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """Half the squared distances `(n, k)`, less |x|^2/2, which is the same for every cluster, written into `out`."""
    return torch.addmm((centroids * centroids).sum(dim=1)[None] / 2, points, centroids.T, alpha=-1, out=out)


def _means(points: torch.Tensor, labels: torch.Tensor, centroids: torch.Tensor) -> torch.Tensor:
    """Mean of each cluster's points `(k, d)`; an empty one stays where it is in `centroids`."""
    sizes = torch.bincount(labels, minlength=len(centroids))
    means = torch.zeros_like(centroids).index_add_(0, labels, points) / sizes.clamp(min=1)[:, None]
    return torch.where(sizes[:, None] > 0, means, centroids)


def balanced_assignment(cost: torch.Tensor, prices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Assign n points to k clusters at low total cost, every size within `size_bounds`.

    Args:
        cost: `(n, k)`.
        prices: `(k,)` to start from: zeros, or those of a similar problem.

    Returns:
        Labels `(n,)` int64 and the final prices `(k,)`.
    """
    n, k = cost.shape
    lower, upper = size_bounds(n, k)
    for _ in range(PRICE_ROUNDS):
        labels, regret = _cheapest(cost, prices)
        sizes = torch.bincount(labels, minlength=k)
        if bool(((sizes >= lower) & (sizes <= upper)).all()):
            return labels, prices
        surplus = sizes - round(n / k)
        order = _order_within(labels, regret)
        last_to_leave = (sizes.cumsum(0) - sizes + surplus - 1).clamp(0, n - 1)
        rise = torch.where(surplus > 0, regret[order][last_to_leave], 0.0)
        fall = (1 - sizes * (k / n)).clamp(min=0) * regret.median()
        prices = prices + PRICE_STEP * (rise - fall)
    return _repair(cost, _cheapest(cost, prices)[0], lower, upper), prices


def _cheapest(cost: torch.Tensor, prices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each point's cheapest cluster `(n,)` and what its second-best would cost more `(n,)`."""
    labels, regrets = [], []
    for start in range(0, len(cost), CHUNK_ROWS):
        priced = cost[start : start + CHUNK_ROWS] + prices
        best, label = priced.min(dim=1, keepdim=True)
        second = priced.scatter_(1, label, torch.inf).amin(dim=1, keepdim=True)
        labels.append(label.squeeze(1))
        regrets.append((second - best).squeeze(1))
    return torch.cat(labels), torch.cat(regrets)


def _order_within(groups: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Positions sorted by group, and by `key` within each group."""
    by_key = key.argsort(stable=True)
    return by_key[groups[by_key].argsort(stable=True)]


def _first_of_each(groups: torch.Tensor, key: torch.Tensor, allowance: torch.Tensor) -> torch.Tensor:
    """Mask of the `allowance[g]` members of each group g that have the smallest `key`."""
    return _rank_within(groups, key, len(allowance)) < allowance[groups]


def _rank_within(groups: torch.Tensor, key: torch.Tensor, k: int) -> torch.Tensor:
    """Each member's place in its group, one of `k`, by `key`, from 0."""
    order = _order_within(groups, key)
    sizes = torch.bincount(groups, minlength=k)
    starts = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(groups)
    ranks[order] = torch.arange(len(groups), device=groups.device) - starts[groups[order]]
    return ranks


def _repair(cost: torch.Tensor, labels: torch.Tensor, lower: int, upper: int) -> torch.Tensor:
    """Move points, least regret first, until every cluster's size is within the bounds.

    First what is above `upper` goes wherever there is room, then clusters below `lower` are filled from those that can
    spare a point. Every round moves at least one point, and `k * lower <= n <= k * upper`, so it ends.

    Points that are alike (items without a text are) all want the same cluster, and a round would fill no more than that
    one: after `PATIENCE` rounds those that find it full go on to the next in the same round.
    """
    k = cost.shape[1]
    labels = labels.clone()
    turn = 0
    while True:
        sizes = torch.bincount(labels, minlength=k)
        spare, room = (sizes - upper).clamp(min=0), (upper - sizes).clamp(min=0)
        if not bool(spare.any()):
            spare, room = (sizes - lower).clamp(min=0), (lower - sizes).clamp(min=0)
            if not bool(room.any()):
                return labels
        movable = (spare[labels] > 0).nonzero().squeeze(1)
        source = labels[movable]
        goal, regret = _cheapest_with_room(cost, movable, source, room)
        leaving = _first_of_each(source, regret, spare)
        movable, source, goal, regret = movable[leaving], source[leaving], goal[leaving], regret[leaving]
        if turn >= PATIENCE:
            goal, regret = _dealt_out(cost, movable, source, room, goal, regret)
        arriving = _first_of_each(goal, regret, room)
        labels[movable[arriving]] = goal[arriving]
        turn += 1


def _cheapest_with_room(
    cost: torch.Tensor, movable: torch.Tensor, source: torch.Tensor, room: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each of the m `movable` points the cheapest cluster with room `(m,)`, and what it costs more than `source`,
    the point's own, `(m,)`."""
    goals, regrets = [], []
    for start in range(0, len(movable), CHUNK_ROWS):
        costs = cost[movable[start : start + CHUNK_ROWS]]
        own = costs.gather(1, source[start : start + CHUNK_ROWS, None]).squeeze(1)
        best, goal = costs.masked_fill_(room == 0, torch.inf).min(dim=1)
        goals.append(goal)
        regrets.append(best - own)
    return torch.cat(goals), torch.cat(regrets)


def _dealt_out(
    cost: torch.Tensor,
    movable: torch.Tensor,
    source: torch.Tensor,
    room: torch.Tensor,
    goal: torch.Tensor,
    regret: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Goals and regrets `(m,)` of `_cheapest_with_room`, in which whoever finds the goal full takes a later choice.

    It is the one that is reached when those before, who are taken for being of the same mind, have filled the others.
    """
    goal, regret = goal.clone(), regret.clone()
    before = _rank_within(goal, regret, len(room))
    late = (before >= room[goal]).nonzero().squeeze(1)
    for start in range(0, len(late), CHUNK_ROWS):
        rows = late[start : start + CHUNK_ROWS]
        costs = cost[movable[rows]]
        own = costs.gather(1, source[rows, None]).squeeze(1)
        best, choice = costs.masked_fill_(room == 0, torch.inf).topk(min(CHOICES, len(room)), dim=1, largest=False)
        filled = (room[choice].cumsum(1) <= before[rows, None]).sum(1, keepdim=True).clamp(max=choice.shape[1] - 1)
        goal[rows] = choice.gather(1, filled).squeeze(1)
        regret[rows] = best.gather(1, filled).squeeze(1) - own
    return goal, regret
