"""Stage 5: the curriculum makes a language model a policy."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gream.config import Profile
from gream.corpora.build import Corpus
from gream.corpora.curriculum import training_batches
from gream.corpora.example import Example
from gream.corpora.replay import Replay, event_weights, training_split
from gream.data.catalog import Catalog
from gream.data.fresh import last_event
from gream.data.split import Split
from gream.data.transitions import transition_counts
from gream.errors import ConfigError
from gream.indexing.semantic_index import SemanticIndex
from gream.indexing.tokens import TOKEN_PATTERN
from gream.policy.bundle import ASKED_WITH, KIND, PolicyFacts, read_facts, save_policy
from gream.policy.prompting import EncodedExample, Prompter
from gream.policy.transition_prior import PriorWeights, TransitionPrior
from gream.prompts import load_prompts
from gream.stages.launch import HERE, Launcher, TrainingJob
from gream.stages.mirror import keep_checkpoint
from gream.stages.store import Recipe, RunContext, produce
from gream.stages.warm_start import is_warm, training_profile

if TYPE_CHECKING:
    from gream.policy.policy import Policy

CHAMPION: Final = "champion"
"""Name of the input that a warm start has."""
CODE: Final = (
    "corpora/curriculum.py",
    "corpora/replay.py",
    "data/assembly.py",
    "data/catalog.py",
    "data/fresh.py",
    "data/split.py",
    "data/transitions.py",
    "decoding",
    "evaluation/metrics.py",
    "indexing/semantic_index.py",
    "indexing/tokens.py",
    "policy",
    "prompts",
    "training/checkpoints.py",
    "training/lora.py",
    "training/precision.py",
    "training/prior_weights.py",
    "training/processes.py",
    "training/sft.py",
)


def run(
    catalog: Path,
    semantic_index: Path,
    corpus: Path,
    context: RunContext,
    launcher: Launcher = HERE,
    champion: Path | None = None,
) -> Path:
    """The folder of the SFT policy; `stage_facts` of it has the training log.

    Args:
        catalog: from `gream.stages.ingest` or `gream.stages.refresh`.
        semantic_index: from `gream.stages.index`.
        corpus: from `gream.stages.corpora`.
        context: the run.
        launcher: who trains.
        champion: of a retraining; training goes on from this policy where the index still speaks its language.

    Raises:
        ConfigError: the backbone does not fit, or an example is longer than `sft.max_tokens`.
        TrainingError: processes that trained together failed.
    """
    warm = is_warm(semantic_index, champion)
    profile = training_profile(context, warm)
    inputs = {"catalog": catalog, "semantic_index": semantic_index, "corpus": corpus}
    retraining = {}
    if warm and champion is not None:
        inputs[CHAMPION] = champion
        retraining = {"retrain": profile.retrain.model_dump(include={"fresh_weight"})}
    recipe = Recipe(
        stage="sft",
        kind=KIND,
        settings={
            **retraining,
            "profile": profile.name,
            "model": profile.model.model_dump(),
            "sft": profile.sft.model_dump(),
            # Windows and chain settings travel in the bundle.
            "corpus": profile.corpus.model_dump(),
            "evaluation": profile.evaluation.model_dump(include=ASKED_WITH),
            "search": profile.search.model_dump(),
            "processes": launcher.processes,
        },
        seed=context.seed,
        inputs=inputs,
        code=CODE,
    )

    def make(target: Path, work: Path) -> dict[str, Any]:
        job = TrainingJob(stage="sft", inputs=inputs, profile=profile, seed=context.seed, work=work)
        notes = launcher.launch(job)
        job.policy.rename(target)
        return notes

    return produce(recipe, make, context.workspace)


def train(job: TrainingJob) -> dict[str, Any]:
    """Train the policy and save it, alone or as one of several processes; the training log."""
    # Imported late: a stage that is done already should not wait for torch.
    import torch

    from gream.policy.policy import Policy
    from gream.policy.tokenizer import answer_tags
    from gream.training.lora import add_adapters, merge_adapters
    from gream.training.precision import narrow
    from gream.training.processes import process_number, whole_model
    from gream.training.sft import train_sft

    profile, inputs = job.profile, job.inputs
    shop, index = Catalog.load(inputs["catalog"]), SemanticIndex.load(inputs["semantic_index"])
    examples = Corpus.load(inputs["corpus"])
    tokenizer = _tokenizer(job, examples, index)
    batches, replay = _plan(examples, tokenizer, profile, job.seed), examples.facts.replay
    del examples  # The texts have been encoded, and would stand beside the model for hours.

    def untrained() -> Any:
        model = _untrained(job, tokenizer)
        if profile.sft.method == "lora":
            new_ids = tokenizer.convert_tokens_to_ids([*answer_tags(), *index.vocabulary])
            model = add_adapters(model, new_ids, profile.sft, job.seed)
        return model

    trained = untrained()
    log = train_sft(
        trained,
        tokenizer,
        batches,
        profile.sft,
        job.work / "checkpoints",
        job.seed,
        on_checkpoint=lambda: keep_checkpoint(job.work),
    )
    model = whole_model(trained, untrained)
    if process_number() > 0:
        return {"log": log}
    if torch.cuda.is_available():
        model.to("cuda")  # One that was in pieces is put together on the CPU, and is asked for its prior's weights yet.
    if profile.sft.method == "lora":
        model = merge_adapters(model)
    narrow(model, getattr(torch, profile.model.dtype))
    facts = PolicyFacts.of(profile, shop.facts.dataset, "sft", job.seed, last_event(shop), held_out=replay is None)
    policy = _with_prior(Policy(model, tokenizer, index, shop.items, facts), shop, replay, job)
    save_policy(job.policy, model, tokenizer, index, shop.items, policy.facts, policy.prior)
    return {"log": log}


def _tokenizer(job: TrainingJob, examples: Corpus, index: SemanticIndex) -> Any:
    from transformers import AutoTokenizer

    from gream.policy.model import build_tokenizer
    from gream.policy.tokenizer import answer_tags

    if CHAMPION in job.inputs:
        return AutoTokenizer.from_pretrained(job.inputs[CHAMPION])
    return build_tokenizer(job.profile.model, _plain_texts(examples, answer_tags()), index.vocabulary)


def _untrained(job: TrainingJob, tokenizer: Any) -> Any:
    """The model before training: the champion's where the run goes on from it, else the profile's backbone."""
    from gream.policy.model import build_backbone, continued_backbone

    if CHAMPION in job.inputs:
        return continued_backbone(job.profile.model, job.inputs[CHAMPION])
    return build_backbone(job.profile.model, tokenizer, job.seed)


def _with_prior(policy: "Policy", shop: Catalog, replay: Replay | None, job: TrainingJob) -> "Policy":
    """The policy with the transitions of its training data as the prior of its search, where it is to have one.

    Its weights are chosen by events that neither the policy nor these counts have seen; a retraining, of which nobody
    asks for these events again, counts them afterwards.
    """
    split = training_split(shop, replay, job.seed)
    if CHAMPION in job.inputs:
        return _with_renewed_prior(policy, shop, split, job)
    if not (job.profile.search.transition_prior and split.validation):
        return policy
    prior = _prior(policy, split.train)
    weights = _fitted(policy, prior, split, shop, job.seed)
    return policy.with_prior(prior if replay is None else _prior(policy, shop.sequences()), weights)


def _with_renewed_prior(policy: "Policy", shop: Catalog, split: Split, job: TrainingJob) -> "Policy":
    """The champion's prior with what has been taken since, and with weights that suit what is taken now."""
    champion = read_facts(job.inputs[CHAMPION])
    if champion.prior is None:
        return policy
    counted = event_weights(shop, champion.trained_until, job.profile.retrain.fresh_weight)
    weights, everything = champion.prior, shop.sequences()
    if split.validation:
        without = _prior(policy, everything | split.train, counted)
        weights = _fitted(policy, without, split, shop, job.seed)
    return policy.with_prior(_prior(policy, everything, counted), weights)


def _fitted(policy: "Policy", prior: TransitionPrior, split: Split, shop: Catalog, seed: int) -> PriorWeights:
    from gream.training.prior_weights import fit_prior_weights

    users = list(split.validation)
    return fit_prior_weights(
        policy,
        prior,
        [split.validation_history(user) for user in users],
        [split.validation[user] for user in users],
        shop.facts.exclude_seen,
        seed,
    )


def _prior(
    policy: "Policy", sequences: Mapping[str, list[str]], weights: Mapping[str, NDArray[np.float64]] | None = None
) -> TransitionPrior:
    """Counts of sequences of the policy's items; `weights` of their events, or of more than these."""
    numbers = [policy.numbers(items) for items in sequences.values()]
    counted = None if weights is None else [weights[user][: len(items)] for user, items in sequences.items()]
    return TransitionPrior(transition_counts(numbers, policy.items.height, counted))


def _plan(corpus: Corpus, tokenizer: Any, profile: Profile, seed: int) -> list[list[EncodedExample]]:
    """Encoded batches in curriculum order."""
    prompter = Prompter(
        tokenizer, load_prompts("policy"), profile.corpus.history_window, profile.corpus.reasoning_window
    )
    examples = list(dict.fromkeys([*corpus.alignment, *corpus.reasoning]))
    encoded: dict[Example, EncodedExample] = dict(zip(examples, prompter.examples(examples), strict=True))
    for example, ids in encoded.items():
        if len(ids.input_ids) > profile.sft.max_tokens:
            raise ConfigError(
                f"a {example.task} example has {len(ids.input_ids)} tokens, more than sft.max_tokens = "
                f"{profile.sft.max_tokens}: raise it, or lower corpus.history_window or corpus.reasoning_window."
            )
    batches = training_batches(
        corpus.alignment,
        corpus.reasoning,
        batch_size=profile.sft.batch_size,
        batch_tokens=profile.sft.batch_tokens,
        factor=profile.corpus.curriculum_factor,
        order=profile.sft.order,
        length=lambda example: len(encoded[example].input_ids),
        rng=np.random.default_rng(seed),
    )
    return [[encoded[example] for example in batch] for batch in batches]


def _plain_texts(corpus: Corpus, tags: list[str]) -> list[str]:
    """What a scratch tokenizer learns its merges from: every distinct text, without the tokens that exist anyway."""
    texts: dict[str, None] = {}
    for example in [*corpus.alignment, *corpus.reasoning]:
        for text in (example.prompt, example.answer):
            plain = TOKEN_PATTERN.sub("", text)
            for tag in tags:
                plain = plain.replace(tag, "")
            texts[plain] = None
    return list(texts)
