"""What is made of an engine's words, with the toy's own model in vLLM's place."""

from itertools import chain

import pytest
import torch
from training_toy import INDEX

from gream.decoding.mask import PUT_IN, chain_code
from gream.errors import RequestError
from gream.training.rollouts import Task, TransformersSampler
from gream.training.vllm_sampler import VllmSampler

pytestmark = pytest.mark.unit

G, TEMPERATURE, LIMIT = 3, 0.7, 4
HISTORY = [0, 5]


class Engine:
    """Says the chains that it was made with, and answers with a model."""

    def __init__(self, model, chains=()):
        self.model, self.said, self.weights, self.asked = model, chains, {}, []

    def load(self, weights):
        self.weights = dict(weights)

    def chains(self, prompts, citable, seeds, samples, max_tokens, temperature, stop_id):
        assert (samples, max_tokens, temperature) == (G, LIMIT, TEMPERATURE)
        assert len(prompts) == len(citable) == len(set(seeds))
        return [(list(tokens), [-1.0] * len(tokens)) for tokens in self.said]

    def next_tokens(self, prefixes, legal, temperature):
        self.asked.append(len(prefixes))
        with torch.no_grad():
            logits = [self.model.eval()(torch.tensor([prefix])).logits[0, -1] for prefix in prefixes]
        return [(row[tokens] / temperature).log_softmax(-1).tolist() for row, tokens in zip(logits, legal, strict=True)]


def what(toy):
    return toy.trie, INDEX, toy.prompter, G, TEMPERATURE, LIMIT


def seeded():
    return torch.Generator().manual_seed(1)


def test_answers_are_those_of_the_own_decoder(toy):
    model = toy.model()
    tasks = [Task([n, n + 1], target=5, reasoning=False) for n in range(4)]
    engine = Engine(model)
    found = VllmSampler(*what(toy), engine).roll_out(model, tasks, seeded())
    expected = TransformersSampler(*what(toy)).roll_out(model, tasks, seeded())
    for one, other in zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True):
        assert (one.completion, one.nodes, one.item) == (other.completion, other.nodes, other.item)
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
    # Of one prompt the group stands at the root together; at the second code only where they chose alike.
    assert engine.asked[0] == len(tasks)
    assert engine.asked[1] <= len(tasks) * 2  # Two codes stand first.


def test_chains_end_as_they_were_ended(toy):
    """One stops by itself, one at the last moment, one is cut: there the stop token is put in."""
    stop = toy.prompter.stop_id
    (text,) = toy.prompter.encode(["user"])
    first, second = toy.tokenizer.convert_tokens_to_ids(INDEX[5])
    word = text[0]
    said = [[word, stop], [first, second, word, stop], [word, word, first, second]]
    sampler = VllmSampler(*what(toy), Engine(toy.model(), said))
    ((short, full, cut),) = sampler.roll_out(None, [Task(HISTORY, target=5, reasoning=True)], seeded())
    tag, inside = toy.prompter.answer_ids, chain_code(toy.trie.child(0, first))
    assert short.completion[:2] == [word, stop]
    assert short.nodes[: 2 + len(tag)] == [chain_code(0)] * 2 + [PUT_IN] * len(tag)
    assert short.log_probs[: 2 + len(tag)] == [-1.0, -1.0] + [0.0] * len(tag)
    assert (short.well_formed, full.well_formed, cut.well_formed) == (True, True, False)
    assert full.nodes[:4] == [chain_code(0), inside, chain_code(0), chain_code(0)]
    assert cut.completion[:4] == [word, word, first, stop]
    assert cut.nodes[:4] == [chain_code(0)] * 3 + [PUT_IN]
    assert cut.log_probs[:4] == [-1.0, -1.0, -1.0, 0.0]
    assert cut.sampled[:4] == [True, True, True, False]
    for rollout in (short, full, cut):
        assert rollout.citable == HISTORY
        assert toy.tokenizer.convert_ids_to_tokens(rollout.completion[-2:]) == INDEX[rollout.item]


def test_chains_that_were_not_grounded_are_refused(toy):
    """As they would be by a vLLM that does not know this package."""
    (first,) = toy.tokenizer.convert_tokens_to_ids(INDEX[4][:1])
    sampler = VllmSampler(*what(toy), Engine(toy.model(), [[first, toy.prompter.stop_id]] * G))
    with pytest.raises(RequestError, match="none that its grounding allows"):
        sampler.roll_out(None, [Task([0], target=5, reasoning=True)], seeded())


def test_engine_gets_every_weight(toy):
    model = toy.model()
    engine = Engine(model)
    with VllmSampler(*what(toy), engine).following(model):
        assert engine.weights.keys() == dict(model.named_parameters()).keys()
        assert not any(weight.requires_grad for weight in engine.weights.values())
