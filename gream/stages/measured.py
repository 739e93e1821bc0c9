"""What an evaluation is put together from: the baselines and each policy, measured on the held-out items.

Each is an output of its own. So a killed evaluation goes on with what it had not measured yet, and runs that share
something, as the variants of an experiment share the SFT policy and the baselines, measure it once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gream import columns
from gream.artifacts import atomic_folder, open_artifact
from gream.data.catalog import Catalog
from gream.data.split import leave_last_one_out
from gream.errors import ArtifactError
from gream.evaluation.cases import SAMPLE_SEED, Cases, cases_for_test
from gream.evaluation.policy_evaluation import AnswerShares, evaluate_direct, evaluate_policy
from gream.evaluation.user_values import DIRECT, REASONING, UserValues
from gream.stages.store import Recipe, RunContext, produce

if TYPE_CHECKING:
    from gream.policy.policy import Policy

STAGE: Final = "evaluate"
KIND: Final = "measured"
USERS: Final = "users.parquet"
_CASES: Final = (
    *("data/catalog.py", "data/split.py", "data/transitions.py", "stages/measured.py"),
    *(f"evaluation/{name}.py" for name in ("cases", "metrics", "ranking", "user_values")),
)
CODE_OF_BASELINES: Final = (
    *_CASES,
    *(f"evaluation/{name}.py" for name in ("baseline_evaluation", "baselines", "sasrec")),
)
CODE_OF_POLICIES: Final = (
    *_CASES,
    *("corpora/checks.py", "decoding", "evaluation/policy_evaluation.py", "policy", "prompts"),
    *("indexing/semantic_index.py", "indexing/tokens.py"),
)
NOT_OF_POLICIES: Final = {"bootstrap_resamples", "sasrec_epochs"}
"""Settings of the evaluation that change nothing in how a policy is measured."""


def baselines(catalog: Path, context: RunContext) -> Path:
    """The folder of every baseline's values, a system each."""
    config = context.profile.evaluation
    settings = config.model_dump(include={"max_users", "sasrec_epochs"})
    recipe = Recipe(STAGE, KIND, settings, context.seed, {"catalog": catalog}, CODE_OF_BASELINES, "baselines")

    def make(target: Path, _: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.evaluation.baseline_evaluation import evaluate_baselines

        shop, cases = _shop_and_cases(catalog, context)
        split = leave_last_one_out(shop)
        found = evaluate_baselines(split, shop.item_ids, cases, shop.facts.exclude_seen, config, context.seed)
        _save(target, cases, found)
        return {}

    return produce(recipe, make, context.workspace)


def policy(name: str, bundle: Path, catalog: Path, context: RunContext) -> Path:
    """The folder of a policy's values in both modes; `answer_shares` of it tell of its answers.

    Args:
        name: what the log calls the policy.
        bundle: the policy.
        catalog: of its shop.
        context: the run.

    Raises:
        ArtifactError: the policy lacks an item of the catalogue.
    """
    settings = context.profile.evaluation.model_dump(exclude=NOT_OF_POLICIES)
    recipe = _recipe(name, settings, catalog, bundle, context)

    def make(target: Path, _: Path) -> dict[str, Any]:
        shop, cases = _shop_and_cases(catalog, context)
        loaded, config = load_policy_of(bundle, shop), context.profile.evaluation
        # Of the shop's items alone: whatever else a policy recommends is not legal here.
        tokens = dict(zip(shop.item_ids, loaded.index.encode(shop.item_ids), strict=True))
        outcome = evaluate_policy(loaded, tokens, cases, shop.facts.exclude_seen, config, context.seed, name)
        _save(target, cases, {DIRECT: outcome.direct, REASONING: outcome.reasoning}, outcome.answers)
        return {}

    return produce(recipe, make, context.workspace)


def without_prior(bundle: Path, catalog: Path, context: RunContext) -> Path:
    """The folder of a policy's values in direct mode alone, searched without its prior.

    Raises:
        ArtifactError: the policy lacks an item of the catalogue.
    """
    settings = context.profile.evaluation.model_dump(include={"beams", "max_users"})
    recipe = _recipe("without prior", settings, catalog, bundle, context)

    def make(target: Path, _: Path) -> dict[str, Any]:
        shop, cases = _shop_and_cases(catalog, context)
        alone = load_policy_of(bundle, shop).without_prior()
        number = {item: place for place, item in enumerate(shop.item_ids)}
        config = context.profile.evaluation
        found = evaluate_direct(alone, number, cases, shop.facts.exclude_seen, config, "without prior")
        _save(target, cases, {DIRECT: found})
        return {}

    return produce(recipe, make, context.workspace)


def answer_shares(measured: Path) -> AnswerShares:
    """What the answers and chains of a measured policy were like."""
    return AnswerShares(**open_artifact(measured, KIND)["content"])


def load_policy_of(bundle: Path, shop: Catalog) -> "Policy":
    """The policy of a bundle, which has to know all items of the shop.

    Raises:
        ArtifactError: it lacks one.
    """
    from gream.policy.policy import Policy

    loaded = Policy.load(bundle)
    known = set(loaded.items[columns.ITEM])
    if lacking := [item for item in shop.item_ids if item not in known]:
        raise ArtifactError(
            f"{bundle} has no item {lacking[0]!r} of {shop.facts.dataset}: it is another shop's policy."
        )
    return loaded


def _recipe(part: str, settings: dict[str, Any], catalog: Path, bundle: Path, context: RunContext) -> Recipe:
    inputs = {"catalog": catalog, "policy": bundle}
    return Recipe(STAGE, KIND, settings, context.seed, inputs, CODE_OF_POLICIES, part)


def _shop_and_cases(catalog: Path, context: RunContext) -> tuple[Catalog, Cases]:
    shop = Catalog.load(catalog)
    return shop, cases_for_test(leave_last_one_out(shop), context.profile.evaluation.max_users, SAMPLE_SEED)


def _save(
    target: Path, cases: Cases, systems: Mapping[str, dict[str, np.ndarray]], answers: AnswerShares | None = None
) -> None:
    with atomic_folder(target, KIND, answers.model_dump() if answers else None) as folder:
        UserValues(cases.users, dict(systems)).save(folder / USERS)
