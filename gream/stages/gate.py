"""The last stage of a retraining before anything moves: challenger and champion on the hold-out, and the verdict."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from gream import columns
from gream.artifacts import atomic_folder, content_digest
from gream.data.catalog import Catalog
from gream.data.fresh import last_event
from gream.data.held_out import HISTORY, HeldOut
from gream.evaluation.cases import Cases
from gream.indexing.collision_limit import AUDIT
from gream.promotion.gate import ChallengerFacts, Contender, GateSettings, judge_challenger
from gream.promotion.hold_out import HoldOut, leaked_events
from gream.promotion.verdict import Verdict
from gream.promotion.verdict_report import render_verdict
from gream.stages.store import Recipe, RunContext, produce

if TYPE_CHECKING:
    from gream.policy.policy import Policy

KIND: Final = "gate"
VERDICT: Final = "verdict.json"
PAGE: Final = "verdict.html"
CODE: Final = (
    *(f"data/{name}.py" for name in ("assembly", "catalog", "fresh", "held_out", "split", "transitions")),
    *(f"indexing/{name}.py" for name in ("audit", "collision_limit", "semantic_index", "tokens")),
    *("decoding", "evaluation", "monitoring/served_items.py", "policy", "promotion", "prompts"),
)


def run(catalog: Path, hold_out: Path, champion: Path, challenger: Path, context: RunContext) -> Path:
    """The folder of the verdict and its page.

    Args:
        catalog: from `gream.stages.refresh`: the challenger's training data and the protocol.
        hold_out: from `gream.stages.refresh`; of more than `evaluation.max_users` users a seeded sample is asked.
        champion: the bundle, from `gream.stages.champion`.
        challenger: the bundle.
        context: the run.
    """
    settings = GateSettings(**context.profile.gate.model_dump())
    max_users = context.profile.evaluation.max_users
    shop = Catalog.load(catalog)
    recipe = Recipe(
        stage="gate",
        kind=KIND,
        settings={
            "gate": settings.model_dump(mode="json"),
            "max_users": max_users,
            "exclude_seen": shop.facts.exclude_seen,
        },
        seed=context.seed,
        inputs={"catalog": catalog, "hold_out": hold_out, "champion": champion, "challenger": challenger},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        held = _sampled(HeldOut.load(hold_out).cases, max_users, context.seed)
        verdict = _judge(shop, held, champion, challenger, settings, context.seed)
        with atomic_folder(target, KIND, accepted=verdict.accepted) as folder:
            verdict.save(folder / VERDICT)
            (folder / PAGE).write_text(render_verdict(verdict), encoding="utf-8")
        return {}

    return produce(recipe, make, context.workspace)


def _sampled(cases: pl.DataFrame, size: int, seed: int) -> pl.DataFrame:
    return cases.sample(size, seed=seed) if 0 < size < cases.height else cases


def _judge(
    shop: Catalog, held: pl.DataFrame, champion: Path, challenger: Path, settings: GateSettings, seed: int
) -> Verdict:
    # Imported late: a stage that is done already should not wait for torch.
    from gream.monitoring.served_items import ServedItems
    from gream.policy.policy import Policy
    from gream.promotion.measure import Candidate, answering_times, case_values, list_length

    cases = Cases(held[columns.USER].to_list(), held[HISTORY].to_list(), held[columns.ITEM].to_list())
    exclude_seen, k = shop.facts.exclude_seen, list_length(settings.metric)
    policies = [Policy.load(champion), Policy.load(challenger)]
    old, new = (
        Candidate(name, policy, frozenset(policy.items[columns.ITEM]))
        for name, policy in zip(("champion", "challenger"), policies, strict=True)
    )
    lists = [candidate.lists(cases, exclude_seen, k) for candidate in (old, new)]
    seconds = answering_times(old, new, cases, exclude_seen, k)
    # The challenger's by its data themselves, of which leaked events are looked for too.
    ends = (policies[0].facts.trained_until, last_event(shop))
    theirs, ours = (
        Contender(
            content_digest(bundle),
            case_values(settings.metric, found, cases.targets),
            times,
            _collision_rate(policy),
            end,
        )
        for bundle, found, times, policy, end in zip(
            (champion, challenger), lists, seconds, policies, ends, strict=True
        )
    )
    items = ServedItems.of(policies[1].index, policies[1].items, shop.interactions).items
    users = HoldOut.of(
        cases.users,
        cases.histories,
        cases.targets,
        int(held[columns.TIMESTAMP].to_numpy().min()),
        old.items,
        set(items.filter("head")[columns.ITEM]),
    )
    facts = ChallengerFacts(
        legal_item_share=_legal_share(lists[1], new.items),
        leaked_events=leaked_events(held, shop.interactions),
    )
    return judge_challenger(users, theirs, ours, facts, settings, seed=seed)


def _legal_share(lists: list[list[str]], legal: frozenset[str]) -> float | None:
    """Of what was returned; None where nothing was."""
    returned = [item for items in lists for item in items]
    return sum(item in legal for item in returned) / len(returned) if returned else None


def _collision_rate(policy: "Policy") -> float | None:
    """As its index was audited; None where it was not."""
    audit = policy.index.facts.get(AUDIT)
    return None if audit is None else float(audit["collision_rate"])
