"""Stage 7: both policies and the baselines on the held-out items."""

import json
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from gream import columns
from gream.artifacts import atomic_folder
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.errors import ArtifactError
from gream.evaluation.cases import SAMPLE_SEED, cases_for_test
from gream.evaluation.examples import ExampleUser, example_users
from gream.evaluation.policy_evaluation import PolicyOutcome, evaluate_direct, evaluate_policy
from gream.evaluation.results import BaselineName, EvaluationProtocol, IndexSummary, Metrics, Signs, TwoModes
from gream.evaluation.user_values import DIRECT, REASONING, SFT_DIRECT, SFT_REASONING, WITHOUT_PRIOR, UserValues
from gream.indexing.collision_limit import AUDIT
from gream.stages.store import Recipe, RunContext, produce, stage_facts

KIND: Final = "evaluation"
METRICS: Final = "metrics.json"
"""Complete but for `seconds`, which are known when the stage has ended."""
USERS: Final = "users.parquet"
EXAMPLES: Final = "examples.json"
CODE: Final = ("corpora/checks.py", "data/split.py", "data/transitions.py", "decoding", "evaluation", "policy")


def run(catalog: Path, sft_policy: Path, policy: Path, context: RunContext) -> Path:
    """The folder of the evaluation: metrics, one value for each user and system, and example users."""
    profile, config, seed = context.profile, context.profile.evaluation, context.seed
    recipe = Recipe(
        stage="evaluate",
        kind=KIND,
        settings={"profile": profile.name, "evaluation": config.model_dump()},
        seed=seed,
        inputs={"catalog": catalog, "sft_policy": sft_policy, "policy": policy},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.evaluation.baseline_evaluation import evaluate_baselines
        from gream.policy.policy import Policy

        shop = Catalog.load(catalog)
        split, exclude_seen = leave_last_one_out(shop), shop.facts.exclude_seen
        cases = cases_for_test(split, config.max_users, SAMPLE_SEED)

        def measure(bundle: Path, label: str) -> tuple[PolicyOutcome, Policy]:
            loaded = Policy.load(bundle)
            known = set(loaded.items[columns.ITEM])
            if lacking := [item for item in shop.item_ids if item not in known]:
                raise ArtifactError(f"{bundle} has no item {lacking[0]!r} of {catalog}: it is another shop's policy.")
            # Of the shop's items alone: whatever else a policy recommends is not legal here.
            tokens = dict(zip(shop.item_ids, loaded.index.encode(shop.item_ids), strict=True))
            return evaluate_policy(loaded, tokens, cases, exclude_seen, config, seed, label), loaded

        baselines = evaluate_baselines(split, shop.item_ids, cases, exclude_seen, config, seed)
        start = measure(sft_policy, "SFT")[0]
        final, loaded = measure(policy, "SRPO")
        without_prior: dict[str, np.ndarray] = {}
        if loaded.prior is not None:
            number = {item: place for place, item in enumerate(shop.item_ids)}
            alone = loaded.without_prior()
            without_prior = evaluate_direct(alone, number, cases, exclude_seen, config, "without prior")
        titles = dict(zip(shop.item_ids, shop.items[columns.TITLE].to_list(), strict=True))
        examples = example_users(loaded, titles, cases, exclude_seen, config, seed)

        values = UserValues(
            cases.users,
            {
                DIRECT: final.direct,
                REASONING: final.reasoning,
                SFT_DIRECT: start.direct,
                SFT_REASONING: start.reasoning,
                **({WITHOUT_PRIOR: without_prior} if without_prior else {}),
                **baselines,
            },
        )
        resamples = config.bootstrap_resamples
        metrics = Metrics(
            dataset=shop.facts.dataset,
            profile=profile.name,
            seed=seed,
            protocol=EvaluationProtocol(
                exclude_seen=exclude_seen,
                users=len(cases.users),
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
            without_prior=values.intervals(WITHOUT_PRIOR, resamples, seed) if without_prior else None,
            baselines={cast("BaselineName", name): values.intervals(name, resamples, seed) for name in baselines},
            comparisons=values.comparisons(resamples, seed),
            legal_item_share=final.legal_item_share,
            index=IndexSummary(**loaded.index.facts[AUDIT]),
            signs=Signs(
                chains_off_history=final.chains_off_history,
                aided_chains=1.0 - final.unaided_chains,
                unfinished_chains=final.unfinished_chains,
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


def _save(target: Path, metrics: Metrics, values: UserValues, examples: list[ExampleUser]) -> None:
    with atomic_folder(target, KIND, dataset=metrics.dataset, profile=metrics.profile, seed=metrics.seed) as folder:
        metrics.save(folder / METRICS)
        values.save(folder / USERS)
        text = json.dumps([example.model_dump() for example in examples], indent=2, ensure_ascii=False)
        (folder / EXAMPLES).write_text(text + "\n", encoding="utf-8")


def _mean_logged(policy: Path, name: str) -> float | None:
    logged = [entry[name] for entry in training_log(policy) if name in entry]
    return float(np.mean(logged)) if logged else None
