import copy

import pytest

from gream.corpora.example import Example
from gream.policy.prompting import IGNORED, Prompter
from gream.prompts import load_prompts

pytestmark = pytest.mark.unit

HISTORY = ["<|a_1|><|b_1|><|c_1|>", "<|a_2|><|b_1|><|c_2|>", "<|a_3|><|b_3|><|c_1|><|e_1|>"]


@pytest.fixture(scope="module")
def prompter(tokenizer):
    return Prompter(tokenizer, load_prompts("policy"), history_window=2, reasoning_window=1)


def test_a_direct_prompt_ends_with_the_most_recent_items(prompter):
    (ids,) = prompter.direct([HISTORY])
    assert prompter.decode(ids) == (
        "<|im_start|>user\nContinue the sequence.<|im_end|><|im_start|>assistant\n" + "".join(HISTORY[1:])
    )


def test_a_reasoning_prompt_ends_with_the_open_tag(prompter):
    (ids,) = prompter.reasoning([HISTORY])
    assert prompter.decode(ids) == (
        f"<|im_start|>user\nHistory: {HISTORY[2]} Think about what this user wants, then recommend.<|im_end|>"
        "<|im_start|>assistant\n<think>"
    )


def test_training_and_inference_agree_token_by_token(prompter):
    sequence = "".join(HISTORY[1:])
    reasoning = load_prompts("policy")["reasoning"]["prompt"].format(history=HISTORY[2])
    chain = f"evidence: {HISTORY[2]} likes: space"
    direct, reasoned = prompter.examples(
        [
            Example("seqrec", "Continue the sequence.", sequence + HISTORY[0]),
            Example("reasoning", reasoning, f"<think>{chain}</think><answer>{HISTORY[0]}</answer>"),
        ]
    )
    (item,) = prompter.encode([HISTORY[0]])
    (chain_ids,) = prompter.encode([chain])
    assert direct.input_ids.tolist() == [*prompter.direct([HISTORY])[0], *item]
    assert reasoned.input_ids.tolist() == [
        *prompter.reasoning([HISTORY])[0],
        *chain_ids,
        prompter.stop_id,
        *prompter.answer_ids,
        *item,
        *prompter.answer_end_ids,
    ]


def test_the_loss_is_on_the_assistant_turn_only(prompter):
    (encoded,) = prompter.examples([Example("index2item", f"Which film is {HISTORY[0]}?", "Alien (1979)")])
    answer = [label for label in encoded.labels if label != IGNORED]
    assert prompter.decode(answer) == "Alien (1979)<|im_end|>"
    assert encoded.input_ids[-len(answer) :].tolist() == answer
    assert encoded.labels[: -len(answer)].tolist() == [IGNORED] * (len(encoded.labels) - len(answer))


def test_a_sequence_does_not_end(prompter, tokenizer):
    (encoded,) = prompter.examples([Example("seqrec", "Continue the sequence.", "".join(HISTORY))])
    assert prompter.decode([label for label in encoded.labels if label != IGNORED]) == "".join(HISTORY)


def test_examples_are_the_same_however_many_are_tokenised_at_once(prompter, monkeypatch):
    examples = [Example("item2index", f"Which {'very ' * number}one?", HISTORY[number]) for number in range(3)]
    whole = [(row.input_ids.tolist(), row.labels.tolist()) for row in prompter.examples(examples)]
    sizes = []
    encode = prompter.encode
    monkeypatch.setattr(prompter, "encode", lambda texts: sizes.append(len(texts)) or encode(texts))
    monkeypatch.setattr("gream.policy.prompting.TOGETHER", 2)
    assert [(row.input_ids.tolist(), row.labels.tolist()) for row in prompter.examples(examples)] == whole
    assert sizes == [2, 2, 1, 1]


def test_an_example_takes_four_bytes_a_token(prompter):
    (encoded,) = prompter.examples([Example("seqrec", "Continue the sequence.", HISTORY[0])])
    assert encoded.input_ids.nbytes == encoded.labels.nbytes == 4 * len(encoded.labels)


def test_an_empty_history_still_makes_a_prompt(prompter):
    assert prompter.decode(prompter.direct([[]])[0]).endswith("assistant\n")


def test_a_system_prompt_comes_first(tokenizer):
    prompts = {**load_prompts("policy"), "system": "You recommend films."}
    (ids,) = Prompter(tokenizer, prompts, 2, 1).direct([[]])
    assert tokenizer.decode(ids).startswith("<|im_start|>system\nYou recommend films.<|im_end|><|im_start|>user\n")


def test_prompts_are_the_same_whatever_the_day(tokenizer):
    dated = copy.deepcopy(tokenizer)
    dated.chat_template = "{{ strftime_now('%d %B %Y') }} {{ messages[-1]['content'] }}"
    prompter = Prompter(dated, load_prompts("policy"), history_window=2, reasoning_window=1)
    assert prompter.decode(prompter.direct([[]])[0]).startswith("26 July 2024 ")
