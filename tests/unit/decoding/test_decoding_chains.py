import numpy as np
import pytest
import torch

from gream.decoding.chains import sample_chains
from gream.decoding.grounding import ChainTokens, Grounding
from gream.errors import RequestError

pytestmark = pytest.mark.unit

STOP = 39
LIMIT = 70
TEMPERATURE = 1.3
HISTORIES = [[0, 3, 4], [], [2, 7, 10, 2], [5]]
"""Item numbers that each prompt's chains may cite."""


@pytest.fixture(scope="module")
def uniforms():
    return torch.rand(4, 5, LIMIT, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def grounding(trie, items):
    return Grounding.of(
        trie, HISTORIES, ChainTokens(sorted({token for item in items for token in item}), []), torch.device("cpu")
    )


@pytest.fixture(scope="module")
def chains(model, prompts, uniforms, grounding):
    return sample_chains(model, prompts, STOP, uniforms, grounding, temperature=TEMPERATURE)


def legal_tokens(items, history, tokens):
    """What may stand at each place of a chain, by following its citations one by one."""
    index_tokens = {token for item in items for token in item}
    known = [items[number] for number in history]
    begun: tuple[int, ...] = ()
    allowed = []
    for token in tokens:
        goes_on = {item[len(begun)] for item in known if item[: len(begun)] == begun}
        allowed.append(sorted(goes_on if begun else goes_on | (set(range(40)) - index_tokens)))
        begun = (*begun, token) if token in index_tokens else ()
        if begun in known:
            begun = ()
    return allowed


def distributions(model, items, prompt, tokens, allowed):
    """The grounded distribution at each token of a chain, and the mass of what is allowed, by one plain pass."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    free = (logits.double() / TEMPERATURE).softmax(-1).numpy()
    index_tokens = np.isin(np.arange(free.shape[1]), [token for item in items for token in item])
    held = np.zeros_like(free)
    for row, (weights, few) in enumerate(zip(free, allowed, strict=True)):
        held[row, few] = weights[few]
    mass = held.sum(axis=1)
    for row in held:
        # Where text may stand and something may be cited, the index tokens keep what they have together.
        text, cited = row[~index_tokens].sum(), row[index_tokens].sum()
        row[index_tokens] *= (1.0 - text) / cited if text and cited else 1.0
    return held / held.sum(axis=1, keepdims=True), mass


def test_every_token_is_the_one_that_its_number_points_to(model, items, prompts, uniforms, chains):
    for prompt, history, row, numbers in zip(prompts, HISTORIES, chains, uniforms.numpy(), strict=True):
        for chain, u in zip(row, numbers, strict=True):
            drawn = chain.tokens if chain.finished else chain.tokens[:-1]
            # Where the stop token was forced, something else may have been allowed.
            expected, mass = distributions(
                model, items, prompt, chain.tokens, legal_tokens(items, history, chain.tokens)
            )
            sums = expected.cumsum(axis=1)
            assert drawn == [int(np.searchsorted(sums[step], u[step])) for step in range(len(drawn))]
            np.testing.assert_allclose(
                chain.log_probs[: len(drawn)], np.log(expected[np.arange(len(drawn)), drawn]), atol=1e-4
            )
            assert chain.unaided == pytest.approx(np.log(mass).sum(), abs=1e-3)
            assert chain.log_probs[len(drawn) :] == [0.0] * (not chain.finished)


def test_chains_cite_their_history_and_nothing_else(items, chains):
    index_tokens = {token for item in items for token in item}
    cited = 0
    for history, row in zip(HISTORIES, chains, strict=True):
        for chain in row:
            for token, few in zip(chain.tokens[:-1], legal_tokens(items, history, chain.tokens)[:-1], strict=True):
                assert token in few
                cited += token in index_tokens
    assert cited > 100


def test_a_chain_ends_with_the_stop_token_and_only_there(chains):
    lengths = [len(chain.tokens) for row in chains for chain in row]
    # Early, late and forced ends are all among them, so that rows left the batch at different times.
    assert min(lengths) < LIMIT / 2
    assert max(lengths) == LIMIT
    for row in chains:
        for chain in row:
            assert chain.tokens.index(STOP) == len(chain.tokens) - 1 == len(chain.log_probs) - 1
            assert chain.finished or len(chain.tokens) == LIMIT
    assert {chain.finished for row in chains for chain in row} == {True, False}


def test_a_chain_depends_on_its_own_numbers_alone(model, prompts, uniforms, grounding, chains):
    for row, prompt in enumerate(prompts):
        for sample in (0, 4):
            ((alone,),) = sample_chains(
                model,
                [prompt],
                STOP,
                uniforms[row : row + 1, sample : sample + 1],
                grounding.select(torch.tensor([row])),
                temperature=TEMPERATURE,
            )
            assert alone.tokens == chains[row][sample].tokens
            assert alone.nodes == chains[row][sample].nodes


def test_a_narrow_nucleus_is_greedy(model, items, prompts, uniforms, grounding):
    greedy = sample_chains(model, prompts, STOP, uniforms[:, :1], grounding, TEMPERATURE, top_p=1e-6)
    for prompt, history, (chain,) in zip(prompts, HISTORIES, greedy, strict=True):
        expected, _ = distributions(model, items, prompt, chain.tokens, legal_tokens(items, history, chain.tokens))
        drawn = chain.tokens if chain.finished else chain.tokens[:-1]
        assert drawn == expected.argmax(axis=1).tolist()[: len(drawn)]


def test_a_limit_of_one_token_forces_the_stop_token(model, prompts, uniforms, grounding):
    chains = sample_chains(model, prompts, STOP, uniforms[..., :1], grounding)
    assert [chain.tokens for row in chains for chain in row] == [[STOP]] * 20


@pytest.mark.parametrize("shape", [(3, 1, 8), (4, 8), (4, 1, 0)])
def test_numbers_that_do_not_fit_are_refused(model, prompts, grounding, shape):
    with pytest.raises(RequestError, match=r"shape \(prompts, samples, max_tokens\)"):
        sample_chains(model, prompts, STOP, torch.zeros(shape), grounding)


def test_a_grounding_of_other_rows_is_refused(model, prompts, uniforms, grounding):
    with pytest.raises(RequestError, match="one row for each of the 4 prompts"):
        sample_chains(model, prompts, STOP, uniforms, grounding.select(torch.tensor([0])))


def test_an_observer_hears_every_token_but_the_stops(model, prompts, uniforms, grounding, chains):
    heard = {number: [] for number in range(20)}

    def observe(numbers, tokens):
        for number, token in zip(numbers, tokens, strict=True):
            heard[number].append(token)

    sample_chains(model, prompts, STOP, uniforms, grounding, temperature=TEMPERATURE, token_budget=300, observe=observe)
    assert heard == {
        row * 5 + place: chain.tokens[:-1] for row, group in enumerate(chains) for place, chain in enumerate(group)
    }
