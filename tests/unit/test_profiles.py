"""The profiles that come with GREAM: all load, and `paper` holds the paper's numbers."""

import pytest

from gream.profile_files import load_profile, profile_names

pytestmark = pytest.mark.unit


def test_shipped_profiles():
    assert profile_names() == ["laptop", "paper", "small"]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid_and_bears_its_name(name):
    assert load_profile(name).name == name


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("data", {"k_core": 5}),
        ("index", {"encoder": "Qwen/Qwen3-4B-Instruct-2507", "levels": 4, "codebook_size": 256}),
        ("corpus", {"history_window": 20, "itemsearch_samples": 50_000, "curriculum_factor": 1.5}),
        ("model", {"backbone": "Qwen/Qwen3-4B-Instruct-2507"}),
        (
            "sft",
            {
                "method": "full",
                "learning_rate": 5e-5,
                "warmup_ratio": 0.1,
                "batch_size": 8,
                "gradient_accumulation": 4,
                "max_tokens": 2_560,
                "precision": "bf16",
            },
        ),
        (
            "srpo",
            {
                "steps": 150,
                "prompts_per_step": 256,
                "updates_per_step": 4,
                "group_size": 10,
                "pass_k": 4,
                "beta": 0.5,
                "temperature": 1.0,
                "max_chain_tokens": 1_560,
                "max_generation_rounds": 10,
                "learning_rate": 2e-6,
                "warmup_steps": 10,
                "weight_decay": 0.1,
                "max_grad_norm": 1.0,
                "clip": 0.2,
                "kl_coefficient": 0.001,
            },
        ),
        ("evaluation", {"beams": 10, "chain_temperature": 0.7, "chain_top_p": 0.9, "max_chain_tokens": 1_560}),
    ],
)
def test_paper_profile_holds_the_papers_numbers(section, values):
    loaded = getattr(load_profile("paper"), section).model_dump()
    assert {name: loaded[name] for name in values} == values
