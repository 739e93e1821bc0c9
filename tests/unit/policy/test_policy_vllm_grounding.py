"""The grounding processors by themselves, as each of vLLM's model runners calls them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_policy import write_tiny_policy

from gream.decoding.grounding import Grounding
from gream.policy.policy import Policy

pytestmark = pytest.mark.unit
processors = pytest.importorskip("gream.policy.vllm_grounding", reason="vLLM is not installed here")

CPU = torch.device("cpu")
HISTORIES = [[3, 7, 20], [], [0, 1]]
"""Item numbers; 0 and 1 share all their codes."""
TEMPERATURES = [0.7, 1.0, 0.5]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    path = tmp_path_factory.mktemp("grounding") / "policy"
    write_tiny_policy(path)
    return path


@pytest.fixture(scope="module")
def policy(bundle):
    return Policy.load(bundle)


@pytest.fixture(scope="module")
def vllm_config(bundle):
    return SimpleNamespace(model_config=SimpleNamespace(model=str(bundle)))


@pytest.fixture(scope="module")
def chains(policy):
    """Tokens so far of a chain for each history: within a citation, after text, and after a whole citation."""
    text = policy.prompter.encode(["liked"])[0]
    third, first = (policy.tokenizer.convert_tokens_to_ids(list(policy._tokens[n])) for n in (3, 0))
    return [[*text, *third[:2]], text, [*first, *text, *first]]


@pytest.fixture(scope="module")
def logits(policy):
    return torch.randn(5, len(policy.tokenizer), generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def expected(policy, chains, logits):
    """The grounded rows, by following each chain from its beginning."""
    grounding = Grounding.of(policy.trie, HISTORIES, policy.prompter.chain_tokens, CPU)
    rows = []
    for row, chain in enumerate(chains):
        alone, node = grounding.select(torch.tensor([row])), torch.zeros(1, dtype=torch.long)
        for token in chain:
            node = alone.advance(node, torch.tensor([token]))
        rows.append(alone.log_probs(logits[row : row + 1], node, TEMPERATURES[row])[0])
    return torch.cat(rows)


def params(citable, temperature=1.0):
    extra = None if citable is None else {processors.CITABLE: citable}
    return SimpleNamespace(extra_args=extra, temperature=temperature)


def chain_params(number):
    return params(HISTORIES[number], TEMPERATURES[number])


def check(made, logits, expected, places):
    """Rows in `places` are the grounded ones once they are divided by the temperature; others are as before."""
    for row in range(len(logits)):
        if row in places:
            distribution = (made[row] / TEMPERATURES[places[row]]).softmax(-1)
            torch.testing.assert_close(distribution, expected[places[row]].exp(), atol=1e-6, rtol=1e-4)
        else:
            torch.testing.assert_close(made[row], logits[row], atol=0, rtol=0)


def test_runner_v1(vllm_config, chains, logits, expected):
    processor = processors.GroundingProcessor(vllm_config, CPU, False)
    assert isinstance(processor, processors.V1GroundingProcessor)
    assert not processor.is_argmax_invariant()
    outputs = [list(chain[:1]) for chain in chains]
    update = SimpleNamespace(
        removed=[],
        moved=[],
        added=[
            (0, params(None), [1], []),
            (1, chain_params(0), [1], outputs[0]),
            (2, chain_params(1), [1], outputs[1]),
            (4, chain_params(2), [1], outputs[2]),
        ],
    )
    processor.update_state(update)
    for output, chain in zip(outputs, chains, strict=True):
        output[:] = chain  # As the runner does: it extends the list that it has handed over.
    processor.update_state(None)
    order = [3, 0, 1, 4, 2]  # Row 1 holds the first chain, row 2 the second, row 4 the third.
    made = processor.apply(logits[order].clone())
    check(made, logits[order], expected, {1: 0, 2: 1, 4: 2})


def test_runner_v1_follows_requests_that_go_and_move(vllm_config, chains, logits, expected):
    from vllm.v1.sample.logits_processor import MoveDirectionality

    processor = processors.GroundingProcessor(vllm_config, CPU, False)
    added = [(row, chain_params(row), [1], chain) for row, chain in enumerate(chains)]
    processor.update_state(SimpleNamespace(removed=[], moved=[], added=added))
    moved = [(2, 0, MoveDirectionality.UNIDIRECTIONAL)]
    processor.update_state(SimpleNamespace(removed=[0], moved=moved, added=[]))
    order = [2, 1, 0, 3, 4]
    check(processor.apply(logits[order].clone()), logits[order], expected, {0: 2, 1: 1})


def test_runner_v1_does_not_guess_at_tokens_that_are_not_known_yet(vllm_config, chains, logits):
    processor = processors.GroundingProcessor(vllm_config, CPU, False)
    added = [(0, chain_params(0), [1], [*chains[0], -1])]
    processor.update_state(SimpleNamespace(removed=[], moved=[], added=added))
    with pytest.raises(RuntimeError, match="async_scheduling=False"):
        processor.apply(logits.clone())


def test_runner_v2(vllm_config, policy, chains, logits, expected):
    (prompt,) = policy.reasoning_prompts([policy.numbers(["item-3", "item-7"])])
    slots = [6, 2, 5]
    tokens = torch.zeros(8, 200, dtype=torch.int32)
    for slot, chain in zip(slots, chains, strict=True):
        tokens[slot, : len(prompt) + len(chain)] = torch.tensor([*prompt, *chain])
    states = SimpleNamespace(device=CPU, all_token_ids=SimpleNamespace(gpu=tokens))
    processor = processors.GroundingProcessor(vllm_config, states)
    assert isinstance(processor, processors.V2GroundingProcessor)
    assert not processor.add_request(4, params(None))
    processor.add_request(2, params([9]))  # Whoever had the slot before is forgotten.
    assert [processor.add_request(slot, chain_params(number)) for number, slot in enumerate(slots)]
    rows = [4, 6, 2, 0, 5]
    length = {slot: len(prompt) + len(chain) for slot, chain in zip(slots, chains, strict=True)}
    context = SimpleNamespace(
        idx_mapping_np=np.array(rows),
        pos=torch.tensor([length.get(slot, 10) - 1 for slot in rows]),
    )
    order = [3, 0, 1, 4, 2]
    made = processor.apply(logits[order].clone(), context)
    check(made, logits[order], expected, {1: 0, 2: 1, 4: 2})


def test_requests_of_others_cost_nothing(vllm_config, logits):
    nowhere = SimpleNamespace(model_config=SimpleNamespace(model="/nowhere"))
    processor = processors.GroundingProcessor(nowhere, CPU, False)
    processor.update_state(SimpleNamespace(removed=[], moved=[], added=[(0, params(None), [1], [])]))
    torch.testing.assert_close(processor.apply(logits.clone()), logits)


@pytest.mark.parametrize("citable", ["item-1", [1, -1], [1, "2"], {}])
def test_arguments_are_checked_when_a_request_comes(citable):
    with pytest.raises(ValueError, match="must be a list of item numbers"):
        processors.GroundingProcessor.validate_params(params(citable))
    processors.GroundingProcessor.validate_params(params([0, 4]))
    processors.GroundingProcessor.validate_params(params(None))


def test_vllm_finds_it_by_its_entry_point():
    from importlib.metadata import entry_points

    (found,) = entry_points(group="vllm.logits_processors", name="gream_grounding")
    assert found.load() is processors.GroundingProcessor
