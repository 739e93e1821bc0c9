"""Stage 7: both policies and the baselines on the held-out items."""

import json
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from gream import columns
from gream.artifacts import atomic_folder
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.evaluation.cases import SAMPLE_SEED, cases_for_test
from gream.evaluation.examples import ExampleUser, example_users
from gream.evaluation.results import BaselineName, EvaluationProtocol, IndexSummary, Metrics, Signs, TwoModes
from gream.evaluation.user_values import DIRECT, REASONING, SFT_DIRECT, SFT_REASONING, WITHOUT_PRIOR, UserValues
from gream.indexing.collision_limit import AUDIT
from gream.policy.bundle import read_facts
from gream.stages import measured
from gream.stages.store import Recipe, RunContext, produce, stage_facts

KIND: Final = "evaluation"
METRICS: Final = "metrics.json"
"""Complete but for `seconds`, which are known when the stage has ended."""
USERS: Final = "users.parquet"
EXAMPLES: Final = "examples.json"
CODE: Final = (
    *sorted({*measured.CODE_OF_BASELINES, *measured.CODE_OF_POLICIES}),
    *("evaluation", "indexing/audit.py", "indexing/collision_limit.py"),
)


def run(catalog: Path, sft_policy: Path, policy: Path, context: RunContext) -> Path:
    """The folder of the evaluation: metrics, one value for each user and system, and example users.

    Raises:
        ArtifactError: a policy lacks an item of the catalogue.
    """
    profile, config, seed = context.profile, context.profile.evaluation, context.seed
    pieces = {
        "baselines": measured.baselines(catalog, context),
        "sft": measured.policy("SFT", sft_policy, catalog, context),
    }
    # Without a step it is the same policy.
    pieces["srpo"] = measured.policy("SRPO", policy, catalog, context) if profile.srpo.steps else pieces["sft"]
    if read_facts(policy).prior is not None:
        pieces[WITHOUT_PRIOR] = measured.without_prior(policy, catalog, context)
    recipe = Recipe(
        stage="evaluate",
        kind=KIND,
        settings={"profile": profile.name, "evaluation": config.model_dump()},
        seed=seed,
        inputs={"catalog": catalog, "sft_policy": sft_policy, "policy": policy},
        code=CODE,
        pieces=pieces,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        shop = Catalog.load(catalog)
        exclude_seen = shop.facts.exclude_seen
        cases = cases_for_test(leave_last_one_out(shop), config.max_users, SAMPLE_SEED)
        loaded = measured.load_policy_of(policy, shop)
        titles = dict(zip(shop.item_ids, shop.items[columns.TITLE].to_list(), strict=True))
        examples = example_users(loaded, titles, cases, exclude_seen, config, seed)

        values, resamples = _put_together(pieces), config.bootstrap_resamples
        baselines = UserValues.load(pieces["baselines"] / measured.USERS).systems
        answers = measured.answer_shares(pieces["srpo"])
        metrics = Metrics(
            dataset=shop.facts.dataset,
            profile=profile.name,
            seed=seed,
            protocol=EvaluationProtocol(
                exclude_seen=exclude_seen,
                users=len(cases.users),
                reasoning_users=len(cases.sample(config.reasoning_users, SAMPLE_SEED)[1].users),
                items=len(shop.item_ids),
                beams=config.beams,
                chains=config.chains,
                resamples=resamples,
            ),
            direct=values.intervals(DIRECT, resamples, seed),
            reasoning=values.intervals(REASONING, resamples, seed),
            sft=TwoModes(
                direct=values.intervals(SFT_DIRECT, resamples, seed),
                reasoning=values.intervals(SFT_REASONING, resamples, seed),
            ),
            without_prior=values.intervals(WITHOUT_PRIOR, resamples, seed) if WITHOUT_PRIOR in pieces else None,
            baselines={cast("BaselineName", name): values.intervals(name, resamples, seed) for name in baselines},
            comparisons={
                name: differences
                for name, differences in values.comparisons(resamples, seed).items()
                if profile.srpo.steps or not name.endswith("_vs_sft")
            },
            legal_item_share=answers.legal_items,
            index=IndexSummary(**loaded.index.facts[AUDIT]),
            signs=Signs(
                chains_off_history=answers.chains_off_history,
                aided_chains=1.0 - answers.unaided_chains,
                unfinished_chains=answers.unfinished_chains,
                zero_variance_groups=_mean_logged(policy, "zero_variance_share"),
            ),
            seconds={},
        )
        _save(target, metrics, values, examples)
        return {}

    return produce(recipe, make, context.workspace)


def training_log(policy: Path) -> list[dict[str, float]]:
    """What the trainer of a policy logged, as the stage that made the policy noted it."""
    log: list[dict[str, float]] = stage_facts(policy)["notes"]["log"]
    return log


def load_examples(evaluation: Path) -> list[ExampleUser]:
    """The example users of an evaluation folder."""
    return [ExampleUser(**entry) for entry in json.loads((evaluation / EXAMPLES).read_text(encoding="utf-8"))]


def _put_together(pieces: dict[str, Path]) -> UserValues:
    """The values of all systems in one table, each under its name in the evaluation."""
    tables = {name: UserValues.load(folder / measured.USERS) for name, folder in pieces.items()}
    baselines, sft, srpo = tables["baselines"], tables["sft"].systems, tables["srpo"].systems
    systems = {
        DIRECT: srpo[DIRECT],
        REASONING: srpo[REASONING],
        SFT_DIRECT: sft[DIRECT],
        SFT_REASONING: sft[REASONING],
    }
    if WITHOUT_PRIOR in tables:
        systems[WITHOUT_PRIOR] = tables[WITHOUT_PRIOR].systems[DIRECT]
    return UserValues(baselines.users, systems | baselines.systems)


def _save(target: Path, metrics: Metrics, values: UserValues, examples: list[ExampleUser]) -> None:
    with atomic_folder(target, KIND, dataset=metrics.dataset, profile=metrics.profile, seed=metrics.seed) as folder:
        metrics.save(folder / METRICS)
        values.save(folder / USERS)
        text = json.dumps([example.model_dump() for example in examples], indent=2, ensure_ascii=False)
        (folder / EXAMPLES).write_text(text + "\n", encoding="utf-8")


def _mean_logged(policy: Path, name: str) -> float | None:
    logged = [entry[name] for entry in training_log(policy) if name in entry]
    return float(np.mean(logged)) if logged else None
