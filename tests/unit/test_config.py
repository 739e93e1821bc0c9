"""A wrong profile names the key, the file and what is allowed."""

from typing import get_args

import pytest

from gream.config import ColumnName
from gream.data.tables import ColumnMapping
from gream.errors import ConfigError
from gream.profile_files import load_profile

pytestmark = pytest.mark.unit


def refusal(*overrides: str, profile: str = "laptop") -> str:
    with pytest.raises(ConfigError) as caught:
        load_profile(profile, overrides)
    return str(caught.value)


def test_overrides_are_toml_values_or_bare_words():
    profile = load_profile(
        "laptop", ["srpo.beta=0.7", "srpo.bonus=false", "index.encoder=some/model", "sft.method='lora'"]
    )
    assert (profile.srpo.beta, profile.srpo.bonus) == (0.7, False)
    assert (profile.index.encoder, profile.sft.method) == ("some/model", "lora")


def test_unknown_key_names_its_neighbours():
    message = refusal("sft.learning_rat=1")
    assert message.startswith("override 'sft.learning_rat=1': unknown key 'sft.learning_rat'")
    assert "Did you mean 'learning_rate'?" in message


def test_unknown_section_names_the_sections():
    message = refusal("stf.method=full")
    assert "with override 'stf.method=full': unknown key 'stf'" in message
    assert "Did you mean 'sft'?" in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("srpo.steps=-1", "srpo.steps = -1 is not allowed: Input should be greater than or equal to 0"),
        ("srpo.beta=inf", "srpo.beta = inf is not allowed: Input should be a finite number"),
        ("model.dropout=1.0", "model.dropout = 1.0 is not allowed: Input should be less than 1"),
        ("sft.method=half", "sft.method = 'half' is not allowed: Input should be 'full' or 'lora'"),
        ("srpo.group_size=4", "[srpo] pass_k must be below group_size: with K = 4 and G = 4"),
        ("sft.warmup_ratio=1.0", "sft.warmup_ratio = 1.0 is not allowed: Input should be less than 1"),
        ("corpus.reasoning_stages=['intent']", "[corpus] reasoning_stages must have evidence or relevant among them"),
        ("srpo.updates_per_step=3", "[srpo] updates_per_step must divide prompts_per_step"),
        ("srpo.micro_batch=7", "[srpo] micro_batch must divide the completions of one update, but 7"),
        ("srpo", "must look like section.key=value"),
        ("beta=1", "must look like section.key=value"),
        ("name.x=1", "'name' is a value, not a section of a profile"),
    ],
)
def test_refusals_say_what_is_allowed(override, part):
    assert part in refusal(override)


def test_a_group_without_the_bonus_may_be_as_small_as_k_and_no_smaller():
    assert load_profile("laptop", ["srpo.group_size=4", "srpo.bonus=false"]).srpo.pass_k == 4
    message = refusal("srpo.group_size=3", "srpo.bonus=false")
    assert message.endswith("[srpo] pass_k must be at most group_size: K = 4 answers cannot be drawn from G = 3.")


def test_who_brought_a_wrong_value_is_named(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text("[srpo]\nbeta = -1\n")
    assert refusal("sft.precision=bf16", profile=str(own)).startswith(f"{own}: srpo.beta = -1")
    assert refusal("srpo.beta=1", "srpo.bta=2", profile=str(own)).startswith(
        "override 'srpo.bta=2': unknown key 'srpo.bta'"
    )
    together = refusal("srpo.group_size=4", "srpo.bonus=true", "sft.precision=bf16")
    assert (
        "laptop.toml with override 'srpo.group_size=4', override 'srpo.bonus=true': [srpo] pass_k must be" in together
    )


@pytest.mark.parametrize("table", ['{"timestamp": "when"}', "timestamp=when"])
def test_a_table_in_another_syntax_is_shown_the_right_one(table):
    message = refusal(f"data.columns={table}")
    assert message.startswith(f"override {f'data.columns={table}'!r}: data.columns = {table!r} is not allowed")
    assert message.endswith('Write it as {timestamp = "when"}.')


def test_column_names_are_those_of_the_mapping():
    profile = load_profile("laptop", ["data.columns={user_id = 'customer'}"])
    assert profile.data.columns == {"user_id": "customer"}
    assert "'usr' is not allowed: Input should be 'user_id', 'item_id'" in refusal("data.columns={usr = 'customer'}")
    assert get_args(ColumnName) == tuple(ColumnMapping.model_fields)


def test_unknown_profile_lists_the_known_ones():
    assert "neither one of laptop, paper, small nor the path" in refusal(profile="desktop")


def test_a_file_of_ones_own(tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text("[srpo]\nbeta = 0.3\n")
    assert (load_profile(str(own)).name, load_profile(str(own)).srpo.beta) == ("mine", 0.3)
    own.write_text("[srpo\n")
    assert "mine.toml is not valid TOML" in refusal(profile=str(own))


def test_a_retraining_changes_what_its_section_says_and_keeps_the_mixture():
    profile = load_profile("laptop", ["retrain.seqrec_passes=2", "retrain.srpo_steps=7", "retrain.learning_rate=1e-4"])
    changed = profile.for_retraining()
    assert (changed.corpus.seqrec_passes, changed.srpo.steps, changed.sft.learning_rate) == (2, 7, 1e-4)
    assert changed.corpus.reasoning_samples * profile.corpus.seqrec_passes == profile.corpus.reasoning_samples * 2
    assert changed.corpus.itemsearch_samples * profile.corpus.seqrec_passes == profile.corpus.itemsearch_samples * 2
    assert changed.corpus.preference_samples == 0
    few = load_profile("laptop", ["corpus.preference_samples=3", "corpus.seqrec_passes=8", "retrain.seqrec_passes=1"])
    assert few.for_retraining().corpus.preference_samples == 1  # An eighth of three, but never 0: that is everybody.
    same = {"name", "data", "enrichment", "index", "model", "search", "retrain", "evaluation"}
    assert changed.model_dump(include=same) == profile.model_dump(include=same)
    assert "retrain.replay_share = 1.5 is not allowed" in refusal("retrain.replay_share=1.5")
