"""The gate: may this challenger replace this champion?

Both are measured on the same fresh hold-out. The challenger passes if it is *not inferior*: on the whole and on each
guarded slice, the lower end of the interval for challenger minus champion (paired bootstrap over users) lies above
minus the margin. Every comparison must pass, so the chance to promote a challenger that is worse by its margin
somewhere is at most 1 - `confidence` without any correction (an intersection-union test). The bounds are Bonferroni's
all the same, one-sided and shared among the comparisons, so that all sentences of the record hold *together* with that
confidence: whoever reads one slice's sentence out of several need not wonder how many there were.

Beside that: every recommended item is legal, answers are not slower than allowed, the index does not collide, and
neither was trained on the hold-out. What was not measured is missing, and what is missing refuses: nothing is promoted
for want of evidence. Two slices are exceptions: one that nobody belongs to has nobody to harm, and with new items,
which the champion cannot recommend, no challenger is worse, however few users want them.

The bootstrap knows the users that it sees. Where hardly any of a small slice has a different list, the bound is too
narrow: a slice is a guard against harm that shows, and what is rare shows in more users than `min_users`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gream.artifacts import VERSION_DIGITS
from gream.config import GateConfig, Share
from gream.errors import ConfigError
from gream.evaluation.metrics import paired_bootstrap
from gream.evaluation.verdicts import label
from gream.indexing.collision_limit import COLLISION_LIMIT, collisions_allowed
from gream.promotion.hold_out import NEW_ITEMS, SLICES, HoldOut
from gream.promotion.verdict import Check, Verdict

OVERALL = "all users"
TAIL = 95
"""Percentile of the answering times that is compared."""

Array = NDArray[np.float64]


class GateSettings(GateConfig):
    """What the gate lets through: what a profile may change, and the rest."""

    metric: str = "ndcg@10"
    guards: tuple[str, ...] = SLICES
    """The slices that are guarded."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    """That all comparisons hold together."""
    min_users: Annotated[int, Field(ge=2)] = 30
    """Users that a comparison needs."""
    collisions: Share = COLLISION_LIMIT
    """Share of items that may share all codes with another."""
    resamples: Annotated[int, Field(ge=100)] = 4_000
    """Of the bootstrap."""


@dataclass(frozen=True)
class Contender:
    """What was measured of one policy on the hold-out; None or NaN where it was not.

    Attributes:
        digest: of its bundle.
        values: `(n_users,)` of the metric, in the order of the hold-out's users.
        seconds: time of each of some answers, both policies to the same requests on the same machine.
        collision_rate: of its index, see `gream.indexing.audit`.
        trained_until: time of the last event of its training data, in seconds since 1970 (UTC).
    """

    digest: str
    values: Array | None
    seconds: Array | None
    collision_rate: float | None
    trained_until: int | None


@dataclass(frozen=True)
class ChallengerFacts:
    """What is known of the challenger alone; None where it is not.

    Attributes:
        legal_item_share: of all items that it returned.
        leaked_events: see `gream.promotion.hold_out`.
    """

    legal_item_share: float | None
    leaked_events: int | None


def judge_challenger(
    hold_out: HoldOut,
    champion: Contender,
    challenger: Contender,
    facts: ChallengerFacts,
    settings: GateSettings,
    now: datetime | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge a challenger.

    Args:
        hold_out: the users.
        champion: as it was measured on them.
        challenger: the same.
        facts: of the challenger alone.
        settings: margins and limits.
        now: time of the verdict, with a zone; by default the clock's.
        seed: of the bootstrap.

    Raises:
        ConfigError: a guard is no slice of the hold-out, or the values are not one for each user.
    """
    checks = (
        *_comparisons(hold_out, champion, challenger, settings, seed),
        _legality(facts.legal_item_share),
        _latency(champion.seconds, challenger.seconds, settings.slowdown),
        _collisions(champion.collision_rate, challenger.collision_rate, settings.collisions),
        _leak(hold_out.start, champion.trained_until, challenger.trained_until, facts.leaked_events),
    )
    return Verdict(
        accepted=all(check.state == "passed" for check in checks),
        champion=champion.digest,
        challenger=challenger.digest,
        at=now or datetime.now(UTC),
        metric=settings.metric,
        hold_out_start=hold_out.start,
        hold_out_users=len(hold_out.users),
        confidence=settings.confidence,
        checks=checks,
    )


def _comparisons(
    hold_out: HoldOut, champion: Contender, challenger: Contender, settings: GateSettings, seed: int
) -> Iterator[Check]:
    if unknown := [name for name in settings.guards if name not in hold_out.slices]:
        raise ConfigError(f"{unknown[0]!r} is no slice of the hold-out; it has {', '.join(hold_out.slices)}.")
    everybody = np.ones(len(hold_out.users), dtype=np.bool_)
    groups = {OVERALL: everybody} | {name: hold_out.slices[name] for name in settings.guards}
    if champion.values is None or challenger.values is None:
        for name in groups:
            yield Check(
                name=name, state="missing", text=f"{name.capitalize()}: {label(settings.metric)} was not measured."
            )
        return
    for contender in (champion, challenger):
        if contender.values is not None and contender.values.shape != everybody.shape:
            raise ConfigError(
                f"{len(everybody)} values are needed, one for each user of the hold-out; policy "
                f"{contender.digest[:VERSION_DIGITS]} has an array of shape {contender.values.shape}."
            )
    differences = challenger.values - champion.values
    one_sided = (1.0 - settings.confidence) / len(groups)
    for name, group in groups.items():
        margin = settings.margin if name == OVERALL else settings.slice_margin
        yield _comparison(name, differences[group], margin, one_sided, settings, seed)


def _comparison(
    name: str, differences: Array, margin: float, one_sided: float, settings: GateSettings, seed: int
) -> Check:
    measured = differences[~np.isnan(differences)]
    users, title = len(measured), name.capitalize()
    if users == len(differences) == 0 and name != OVERALL:
        return Check(name=name, state="passed", text=f"{title}: nobody in the hold-out belongs there.", users=0)
    if users == len(differences) < settings.min_users and name == NEW_ITEMS:
        text = f"{title}: {users} users want one, whom the champion cannot serve; the challenger cannot be worse there."
        return Check(name=name, state="passed", text=text, users=users)
    if users < settings.min_users or users < len(differences):
        text = f"{title}: {users} of {len(differences)} users were measured; {settings.min_users}, and all, are needed."
        return Check(name=name, state="missing", text=text, users=users)
    interval = paired_bootstrap(measured, np.zeros(users), 1.0 - 2.0 * one_sided, settings.resamples, seed)
    passed = interval.low > -margin
    return Check(
        name=name,
        state="passed" if passed else "failed",
        text=f"{title} ({users}): {label(settings.metric)}, challenger minus champion, is {interval.value:+.4f}, at "
        f"least {interval.low:+.4f}; {'above' if passed else 'not above'} the margin of {-margin:+.4f}.",
        users=users,
        difference=interval,
        limit=-margin,
    )


def _legality(share: float | None) -> Check:
    name = "legal items"
    if share is None:
        return Check(name=name, state="missing", text="Legal items: not measured.")
    if share == 1.0:
        return Check(
            name=name, state="passed", text="Legal items: all that was recommended is in the catalogue.", limit=1.0
        )
    text = f"Legal items: {share:.4%} of what was recommended is in the catalogue; only 100% will do."
    return Check(name=name, state="failed", text=text, limit=1.0)


def _latency(champion: Array | None, challenger: Array | None, slowdown: float) -> Check:
    name = "latency"
    if champion is None or challenger is None or not champion.size or not challenger.size:
        return Check(name=name, state="missing", text="Latency: not measured for both.")
    ours, theirs = float(np.percentile(challenger, TAIL)), float(np.percentile(champion, TAIL))
    passed = ours <= theirs * (1.0 + slowdown)
    text = (
        f"Latency: {TAIL}% of the challenger's answers take up to {1000 * ours:.0f} ms, of the champion's "
        f"{1000 * theirs:.0f} ms; {slowdown:.0%} more {'would be' if passed else 'is all that is'} allowed."
    )
    return Check(name=name, state="passed" if passed else "failed", text=text, limit=slowdown)


def _collisions(champion: float | None, challenger: float | None, limit: float) -> Check:
    name = "index audit"
    if champion is None or challenger is None:
        return Check(name=name, state="missing", text="Index audit: not made of both.")
    allowed = collisions_allowed(limit, champion)
    passed = challenger < allowed
    text = (
        f"Index audit: {challenger:.1%} of the items share all their codes with another, {champion:.1%} of the "
        f"champion's; the limit is {allowed:.1%}."
    )
    return Check(name=name, state="passed" if passed else "failed", text=text, limit=allowed)


def _leak(start: int, champion: int | None, challenger: int | None, leaked_events: int | None) -> Check:
    """A champion that does not say until when it was trained is taken to be sound."""
    name = "leak check"
    if challenger is None or leaked_events is None:
        return Check(name=name, state="missing", text="Leak check: not made.")
    if leaked_events:
        text = f"Leak check: {leaked_events} events of the hold-out stand in the challenger's training data."
        return Check(name=name, state="failed", text=text, limit=0.0)
    if challenger >= start:
        text = "Leak check: the challenger's training data reach into the time of the hold-out."
        return Check(name=name, state="failed", text=text, limit=0.0)
    if champion is not None and champion >= start:
        text = "Leak check: the champion's training data reach into the time of the hold-out: hold out later events."
        return Check(name=name, state="failed", text=text, limit=0.0)
    whose = "the challenger's training data end" if champion is None else "the training data of both end"
    return Check(name=name, state="passed", text=f"Leak check: {whose} before the hold-out begins.", limit=0.0)
