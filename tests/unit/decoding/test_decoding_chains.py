import numpy as np
import pytest
import torch

from gream.decoding.chains import sample_chains
from gream.errors import RequestError

pytestmark = pytest.mark.unit

STOP = 39
LIMIT = 70
TEMPERATURE = 1.3


@pytest.fixture(scope="module")
def uniforms():
    return torch.rand(4, 5, LIMIT, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def chains(model, prompts, uniforms):
    return sample_chains(model, prompts, STOP, uniforms, temperature=TEMPERATURE)


def distributions(model, prompt, tokens):
    """The model's own distribution at each token of a chain, in one plain forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
    return (logits.double() / TEMPERATURE).softmax(-1).numpy()


def test_every_token_is_the_one_that_its_number_points_to(model, prompts, uniforms, chains):
    for prompt, row, numbers in zip(prompts, chains, uniforms.numpy(), strict=True):
        for chain, u in zip(row, numbers, strict=True):
            expected = distributions(model, prompt, chain.tokens)
            sampled = chain.tokens if chain.finished else chain.tokens[:-1]
            sums = expected.cumsum(axis=1)
            pointed = [int(np.searchsorted(sums[step], u[step])) for step in range(len(sampled))]
            assert sampled == pointed
            np.testing.assert_allclose(
                chain.log_probs, np.log(expected[np.arange(len(chain.tokens)), chain.tokens]), atol=1e-4
            )


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


def test_a_chain_depends_on_its_own_numbers_alone(model, prompts, uniforms, chains):
    for row, prompt in enumerate(prompts):
        for sample in (0, 4):
            ((alone,),) = sample_chains(
                model, [prompt], STOP, uniforms[row : row + 1, sample : sample + 1], temperature=TEMPERATURE
            )
            assert alone.tokens == chains[row][sample].tokens


def test_a_narrow_nucleus_is_greedy(model, prompts, uniforms):
    for prompt, row in zip(prompts, sample_chains(model, prompts, STOP, uniforms[:, :1], top_p=1e-6), strict=True):
        best = distributions(model, prompt, row[0].tokens).argmax(axis=1).tolist()
        sampled = len(best) if row[0].finished else len(best) - 1
        assert row[0].tokens[:sampled] == best[:sampled]


def test_a_limit_of_one_token_forces_the_stop_token(model, prompts, uniforms):
    chains = sample_chains(model, prompts, STOP, uniforms[..., :1])
    assert [chain.tokens for row in chains for chain in row] == [[STOP]] * 20


@pytest.mark.parametrize("shape", [(3, 1, 8), (4, 8), (4, 1, 0)])
def test_numbers_that_do_not_fit_are_refused(model, prompts, shape):
    with pytest.raises(RequestError, match=r"shape \(prompts, samples, max_tokens\)"):
        sample_chains(model, prompts, STOP, torch.zeros(shape))
