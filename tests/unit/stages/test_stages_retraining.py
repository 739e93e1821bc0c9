"""A retraining goes on from the champion while the index speaks its language, and its gate measures both."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from tiny_policy import write_tiny_policy
from transformers import AutoModelForCausalLM

from gream.artifacts import content_digest
from gream.corpora import replay
from gream.data.catalog import Catalog, CatalogFacts
from gream.data.held_out import SCHEMA, HeldOut
from gream.enrichment.accounting import Usage
from gream.enrichment.profiles import ItemProfiles, ProfileFacts
from gream.errors import ConfigError, DataError
from gream.indexing import SemanticIndex
from gream.policy.bundle import read_facts
from gream.policy.policy import Policy
from gream.policy.transition_prior import PriorWeights
from gream.promotion import measure
from gream.promotion.champion import install, open_champion
from gream.promotion.verdict import Verdict
from gream.stages import champion as champion_stage
from gream.stages import corpora, extend, gate, sft, srpo
from gream.stages.store import open_run, stage_facts
from gream.training import prior_weights

pytestmark = pytest.mark.unit

TRAINED_UNTIL = 100
USERS = 40
TINY = [
    *("model.hidden_size=32", "model.layers=2", "model.heads=1", "model.intermediate_size=64", "model.vocabulary=400"),
    *("corpus.history_window=6", "corpus.reasoning_window=4", "corpus.itemsearch_samples=16", "corpus.rl_prompts=9"),
    *("corpus.reasoning_samples=40", "corpus.seqrec_passes=2", "retrain.seqrec_passes=1", "retrain.replay_share=0.5"),
    *("sft.precision=float32", "sft.batch_tokens=0", "sft.batch_size=32", "sft.checkpoint_steps=1000"),
    *("evaluation.beams=8", "evaluation.max_chain_tokens=24"),
]
STILL = "retrain.learning_rate=1e-12"


def run_of(workspace, *settings):
    return open_run("laptop", [*TINY, *settings], seed=0, workspace=str(workspace))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("champion") / "policy"
    write_tiny_policy(path, with_prior=True, trained_until=TRAINED_UNTIL)
    return path


@pytest.fixture(scope="module")
def shop(bundle, tmp_path_factory):
    """Folders of a catalog of the champion's items and of their profiles; every fourth user came back."""
    folder = tmp_path_factory.mktemp("shop")
    items = Policy.load(bundle).items
    rng = np.random.default_rng(0)
    events = [
        (f"u{user}", f"item-{(user * 7 + step) % 60}", 10 + step + (100 if user % 4 == 0 and step > 5 else 0))
        for user in range(USERS)
        for step in range(6 + int(rng.integers(4)))
    ]
    schema = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    facts = CatalogFacts(dataset="made-up", source="made up", exclude_seen=True)
    Catalog(pl.DataFrame(events, schema=schema, orient="row"), items, facts).save(folder / "catalog")
    save_profiles(items["item_id"].to_list(), folder / "profiles")
    return folder / "catalog", folder / "profiles"


def save_profiles(ids, path):
    frame = pl.DataFrame(
        {"item_id": ids, "profile": [f"About {item}." for item in ids], "source": ["template"] * len(ids)},
        schema_overrides={"source": pl.Enum(["llm", "template"])},
    )
    ItemProfiles(frame, ProfileFacts(backend="template", model="", prompts_version=1, usage=Usage())).save(path)


def trained(shop, semantic_index, champion, context):
    catalog, profiles = shop
    corpus = corpora.run(catalog, profiles, semantic_index, context, champion)
    return corpus, sft.run(catalog, semantic_index, corpus, context, champion=champion)


@pytest.fixture(scope="module")
def continued(shop, bundle, tmp_path_factory):
    """Corpus and policy of a warm start that learns nothing."""
    context = run_of(tmp_path_factory.mktemp("warm"), STILL)
    return trained(shop, bundle / "semantic_index", bundle, context)


def weights(policy):
    return AutoModelForCausalLM.from_pretrained(policy, dtype=torch.float32).state_dict()


def test_training_goes_on_from_the_champion_s_weights_and_words(continued, bundle):
    _, policy = continued
    own, old = weights(policy), weights(bundle)
    assert own.keys() == old.keys()
    assert all(torch.allclose(own[name], old[name], atol=1e-6) for name in own)
    assert Policy.load(policy).tokenizer.get_vocab() == Policy.load(bundle).tokenizer.get_vocab()


def test_only_what_a_policy_is_asked_with_makes_it_another_one(continued, shop, bundle):
    workspace = continued[1].parent.parent

    def policy(*settings):
        return trained(shop, bundle / "semantic_index", bundle, run_of(workspace, STILL, *settings))[1]

    assert policy("evaluation.reasoning_users=3", "evaluation.sasrec_epochs=1", "evaluation.chains=2") == continued[1]
    other = policy("evaluation.beams=9")
    assert other != continued[1]
    assert read_facts(other).beams == 9


def test_adapters_go_on_from_the_champion_too(continued, shop, bundle, tmp_path):
    context = run_of(tmp_path, STILL, "sft.method=lora", "model.dropout=0")
    policy = sft.run(shop[0], bundle / "semantic_index", continued[0], context, champion=bundle)
    own, old = weights(policy), weights(bundle)
    assert own.keys() == old.keys()
    assert all(torch.allclose(own[name], old[name], atol=1e-6) for name in own)
    learnt = sft.run(
        shop[0],
        bundle / "semantic_index",
        continued[0],
        run_of(tmp_path, "retrain.learning_rate=1e-2", "sft.method=lora", "model.dropout=0"),
        champion=bundle,
    )
    assert not all(torch.allclose(weights(learnt)[name], old[name], atol=1e-3) for name in old)


def test_corpus_holds_the_fresh_users_and_half_of_the_others(continued, shop):
    corpus, _ = continued
    facts = stage_facts(corpus)["settings"]
    assert facts["replay"] == {"share": 0.5, "trained_until": TRAINED_UNTIL, "held_out": False}
    sequences = Catalog.load(shop[0]).sequences()
    fresh = [user for number, user in enumerate(sequences) if number % 4 == 0 and len(sequences[user]) > 6]
    # One preference for each user in each pass.
    preferences = pl.read_parquet(corpus / "alignment.parquet").filter(pl.col("task") == "preferenceobtain")
    assert preferences.height == len(fresh) + round(0.5 * (USERS - len(fresh)))
    # Half the passes, half the samples: the mixture stays.
    assert facts["corpus"]["seqrec_passes"] == 1
    assert (facts["corpus"]["itemsearch_samples"], facts["corpus"]["reasoning_samples"]) == (8, 20)


def test_prior_keeps_its_weights_and_counts_what_is_new(continued, bundle, shop):
    policy, old = Policy.load(continued[1]), Policy.load(bundle)
    assert policy.facts.prior == old.facts.prior
    last = {user: items[-2:] for user, items in Catalog.load(shop[0]).sequences().items()}
    before, after = policy.numbers(last["u0"])
    assert policy.prior is not None
    assert policy.prior.counts[before, after] >= 1.0


def test_with_enough_who_came_back_the_priors_weights_are_chosen_anew(shop, bundle, tmp_path, monkeypatch):
    """By events that neither the policy nor the prior has seen; then the prior counts these too."""
    seen = []

    def fit(policy, prior, histories, targets, exclude_seen, seed):
        seen.append((prior, histories, targets))
        return PriorWeights(direct=0.2, reasoning=0.4)

    monkeypatch.setattr(replay, "FEWEST_VALIDATED", 2)
    monkeypatch.setattr(prior_weights, "fit_prior_weights", fit)
    _, trained_policy = trained(shop, bundle / "semantic_index", bundle, run_of(tmp_path, STILL))
    policy = Policy.load(trained_policy)
    assert policy.facts.prior == PriorWeights(direct=0.2, reasoning=0.4)
    ((without, histories, targets),) = seen
    sequences = Catalog.load(shop[0]).sequences()
    assert 2 <= len(targets) <= USERS // 8
    for history, target in zip(histories, targets, strict=True):
        assert [*history, target] in sequences.values()
        before, after = policy.numbers([history[-1], target])
        assert policy.prior.counts[before, after] >= without.counts[before, after] + 3.0


def test_policy_says_until_when_it_was_trained(continued, shop, tmp_path):
    corpus, policy = continued
    until = int(Catalog.load(shop[0]).interactions["timestamp"].to_numpy().max())
    assert read_facts(policy).trained_until == until
    reinforced = srpo.run(corpus, policy, run_of(tmp_path, STILL), champion=policy)
    assert stage_facts(reinforced)["settings"]["srpo"]["steps"] == 0
    assert read_facts(reinforced).trained_until == until


def test_the_corpus_stage_says_what_became_of_the_chains(shop, bundle, tmp_path, capsys):
    corpora.run(*shop, bundle / "semantic_index", run_of(tmp_path))
    assert "[4/8 corpora] of 40 reasoning chains 40 kept\n" in capsys.readouterr().err


def test_what_is_held_out_is_not_counted_into_the_prior_of_a_training(shop, bundle, tmp_path, monkeypatch):
    """Everybody goes on to other items in validation and test: the counts stay."""
    monkeypatch.setattr(prior_weights, "fit_prior_weights", lambda *_: PriorWeights(direct=0.2, reasoning=0.4))
    catalog, profiles = shop
    index, before = bundle / "semantic_index", Catalog.load(catalog)
    context = run_of(tmp_path, "corpus.reasoning_samples=8", "corpus.itemsearch_samples=1", "corpus.seqrec_passes=1")
    last = pl.int_range(pl.len()).reverse().over("user_id") < 2
    item = pl.when(last).then(pl.lit("item-0")).otherwise("item_id").alias("item_id")
    replace(before, interactions=before.interactions.with_columns(item)).save(tmp_path / "other")
    corpus = corpora.run(catalog, profiles, index, context)
    counts = [
        Policy.load(sft.run(events, index, corpus, context)).prior.counts for events in (catalog, tmp_path / "other")
    ]
    assert counts[0].nnz > 0
    assert (counts[0] != counts[1]).nnz == 0


def test_the_first_retraining_trains_on_what_the_training_held_out(shop, tmp_path):
    """Its champion knows nobody's last two events: all users have something new."""
    write_tiny_policy(tmp_path / "policy", trained_until=TRAINED_UNTIL, held_out=True)
    context = run_of(tmp_path, "retrain.replay_share=0.0")
    corpus = corpora.run(*shop, tmp_path / "policy" / "semantic_index", context, tmp_path / "policy")
    preferences = pl.read_parquet(corpus / "alignment.parquet").filter(pl.col("task") == "preferenceobtain")
    assert preferences.height == USERS


def test_a_policy_says_whether_its_training_held_events_out(shop, bundle, tmp_path):
    context = run_of(tmp_path, STILL, "corpus.reasoning_samples=8", "search.transition_prior=false", "srpo.steps=0")
    for champion, held_out in ((None, True), (bundle, False)):
        corpus, policy = trained(shop, bundle / "semantic_index", champion, context)
        assert read_facts(policy).held_out is held_out
        assert read_facts(srpo.run(corpus, policy, context, champion=champion)).held_out is held_out


@pytest.fixture(scope="module")
def anew(bundle, tmp_path_factory):
    """An index that does not speak the champion's language."""
    old = SemanticIndex.load(bundle / "semantic_index")
    path = tmp_path_factory.mktemp("anew") / "index"
    SemanticIndex.from_codes(old.item_ids, np.roll(old.codes, 1, axis=0), old.level_sizes).save(path)
    return path


def test_an_index_made_anew_begins_from_the_profile_s_backbone(shop, bundle, anew, tmp_path):
    context = run_of(tmp_path, "sft.learning_rate=1e-12", "search.transition_prior=false", "corpus.reasoning_samples=8")
    corpus, policy = trained(shop, anew, bundle, context)
    assert stage_facts(policy)["settings"]["sft"]["learning_rate"] == 1e-12
    # All the passes of a training, where a retraining has one.
    assert stage_facts(corpus)["settings"]["corpus"]["seqrec_passes"] == 2
    # The champion's weights are spread out, see `write_tiny_policy`; the backbone's are not.
    assert weights(policy)["lm_head.weight"].std() < weights(bundle)["lm_head.weight"].std() / 3


def test_with_an_index_made_anew_what_is_new_is_trained_on(shop, bundle, anew, tmp_path, monkeypatch):
    """Nothing is kept for a test that nobody makes: the last event of all but those who validate is learnt."""
    lent = []

    def fit(policy, prior, histories, targets, exclude_seen, seed):
        lent.extend([*history, target] for history, target in zip(histories, targets, strict=True))
        return PriorWeights(direct=0.2, reasoning=0.4)

    monkeypatch.setattr(prior_weights, "fit_prior_weights", fit)
    settings = ["sft.learning_rate=1e-12", "corpus.reasoning_samples=8", "corpus.history_window=20"]
    corpus, folder = trained(shop, anew, bundle, run_of(tmp_path, *settings))
    sequences, policy = Catalog.load(shop[0]).sequences(), Policy.load(folder)
    assert len(lent) == USERS // 2
    assert all(whole in sequences.values() for whole in lent)
    trains = [items[:-1] if items in lent else items for items in sequences.values()]
    alignment = pl.read_parquet(corpus / "alignment.parquet").filter(pl.col("task") == "seqrec")
    names = SemanticIndex.load(anew)
    assert set(alignment["answer"]) == {"".join(map("".join, names.encode(items))) for items in trains}
    # The counts have everybody's last step.
    assert all(
        policy.prior.counts[before, after] >= 1.0
        for before, after in (policy.numbers(items[-2:]) for items in sequences.values())
    )


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(measure, "TIMED_REQUESTS", 4)


def hold_out(path, ids):
    rows = [(f"u{n}", ids[n : n + 7], ids[n + 10], 500 + n) for n in range(USERS)]
    HeldOut(pl.DataFrame(rows, schema=dict(SCHEMA), orient="row")).save(path)
    return path


def test_gate_measures_both_on_the_same_cases(shop, bundle, tmp_path, quick):
    ids = [f"item-{n}" for n in range(60)]
    challenger = tmp_path / "challenger"
    write_tiny_policy(challenger, seed=1, trained_until=150)
    held = hold_out(tmp_path / "held", ids)
    made = gate.run(shop[0], held, bundle, challenger, run_of(tmp_path))
    verdict = Verdict.load(made / "verdict.json")
    assert (verdict.champion, verdict.challenger) == (content_digest(bundle), content_digest(challenger))
    assert (verdict.hold_out_users, verdict.hold_out_start) == (USERS, 500)
    checks = {check.name: check for check in verdict.checks}
    histories, targets = [ids[n : n + 7] for n in range(USERS)], ids[10 : 10 + USERS]
    ndcg = []
    for policy in (Policy.load(bundle), Policy.load(challenger)):
        rows = policy.recommend_batch(histories, 10, excludes=histories)
        lists = [[item.item_id for item in row] for row in rows]
        gains = [
            1 / np.log2(row.index(target) + 2) for row, target in zip(lists, targets, strict=True) if target in row
        ]
        ndcg.append(sum(gains) / USERS)
    assert ndcg[0] != ndcg[1]
    assert checks["all users"].difference.value == pytest.approx(ndcg[1] - ndcg[0])
    assert checks["legal items"].state == checks["leak check"].state == "passed"
    assert checks["latency"].limit == 0.2
    assert checks["index audit"].state == "missing"  # This index was never audited: nothing is promoted for want of it.
    assert not verdict.accepted
    assert verdict.challenger[:12] in (made / "verdict.html").read_text()


def test_gate_notices_a_hold_out_that_was_trained_on(shop, bundle, tmp_path, quick):
    user, item, time = Catalog.load(shop[0]).interactions.row(3)
    HeldOut(pl.DataFrame([(user, [], item, time)], schema=dict(SCHEMA), orient="row")).save(tmp_path / "held")
    made = gate.run(shop[0], tmp_path / "held", bundle, bundle, run_of(tmp_path))
    (leak,) = [check for check in Verdict.load(made / "verdict.json").checks if check.name == "leak check"]
    assert leak.text == "Leak check: 1 events of the hold-out stand in the challenger's training data."


def test_gate_notices_a_hold_out_that_the_champion_was_trained_on(shop, bundle, tmp_path, quick):
    write_tiny_policy(tmp_path / "champion", seed=1, trained_until=500)
    held = hold_out(tmp_path / "held", [f"item-{n}" for n in range(60)])
    made = gate.run(shop[0], held, tmp_path / "champion", bundle, run_of(tmp_path))
    (leak,) = [check for check in Verdict.load(made / "verdict.json").checks if check.name == "leak check"]
    assert leak.state == "failed"
    assert leak.text.endswith(
        "the champion's training data reach into the time of the hold-out: hold out later events."
    )


def test_what_a_policy_does_not_know_is_no_part_of_its_question_and_counts_nothing(bundle, tmp_path):
    policy = Policy.load(bundle)
    candidate = measure.Candidate("champion", policy, frozenset(policy.items["item_id"]))
    cases = measure.Cases(["u"], [["item-1", "unheard-of", "item-2"]], ["unheard-of"])
    (found,) = candidate.lists(cases, exclude_seen=True, k=5)
    assert found == [item.item_id for item in policy.recommend(["item-1", "item-2"], 5, exclude=["item-1", "item-2"])]
    assert measure.case_values("recall@5", [found], cases.targets).tolist() == [0.0]
    with pytest.raises(ConfigError, match=r"metric 'pass@4' is not allowed; allowed are ndcg@K and recall@K"):
        measure.list_length("pass@4")


def test_champion_is_brought_by_content(bundle, tmp_path):
    place = open_champion(str(tmp_path / "place"))
    context = run_of(tmp_path / "workspace")
    with pytest.raises(ConfigError, match="there is no champion at"):
        champion_stage.run(str(tmp_path / "place"), "retrain", "", "", context)
    install(place, bundle)
    made = champion_stage.run(str(tmp_path / "place"), "retrain", "", "", context)
    assert content_digest(made) == content_digest(bundle)
    with pytest.raises(ConfigError, match="action = 'warn' is not allowed; allowed are index_new_items, retrain"):
        champion_stage.run(str(tmp_path / "place"), "warn", "", "", context)
    with pytest.raises(ConfigError, match="decision and decisions belong together"):
        champion_stage.run(str(tmp_path / "place"), "retrain", "d1", "", context)
    with pytest.raises(ConfigError, match="has no decision 'd1'"):
        champion_stage.run(str(tmp_path / "place"), "retrain", "d1", str(tmp_path / "log"), context)


def test_nothing_to_index_is_said(shop, bundle, tmp_path):
    with pytest.raises(DataError, match="the champion can recommend every item of the catalog"):
        extend.run(*shop, bundle, run_of(tmp_path))
