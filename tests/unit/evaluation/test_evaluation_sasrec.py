import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from gream.evaluation.ranking import rank_histories
from gream.evaluation.sasrec import Sasrec, SasrecSettings, cut_windows, train_sasrec

pytestmark = pytest.mark.unit

TINY = SasrecSettings(
    window=6, hidden=16, layers=1, heads=2, dropout=0.0, learning_rate=2e-2, batch_tokens=60, epochs=12
)


def cycles(users=40, items=7, length=9):
    """Everybody walks the same ring of items from another start: the next item is certain."""
    return [[(start + step) % items for step in range(length)] for start in range(users)]


def test_every_event_but_the_first_is_a_target_once():
    sequences = [list(range(23)), [5], [], [1, 2], list(range(100, 107))]
    for seed in range(20):
        pieces = list(cut_windows(sequences, 6, np.random.default_rng(seed)))
        targets = [item for piece in pieces for item in piece[1:]]
        assert sorted(targets) == sorted([*range(1, 23), 2, *range(101, 107)])
        assert max(map(len, pieces)) <= 7
        assert min(map(len, pieces)) >= 2


def test_scores_do_not_depend_on_padding_or_the_batch():
    torch.manual_seed(0)
    model = Sasrec(10, TINY)
    together = model.score([[1, 2, 3], [4], [], [1, 2, 3, 4, 5, 6, 7, 8]])
    for row, history in enumerate([[1, 2, 3], [4], []]):
        assert together[row] == pytest.approx(model.score([history])[0], abs=1e-5)
    assert together.shape == (4, 10)
    assert np.isfinite(together).all()


def test_only_the_window_is_read():
    torch.manual_seed(0)
    model = Sasrec(10, TINY)
    assert model.score([[9, 9, 1, 2, 3, 4, 5, 6]]) == pytest.approx(model.score([[0, 1, 2, 3, 4, 5, 6]]), abs=1e-5)


def test_no_state_looks_ahead():
    torch.manual_seed(0)
    model = Sasrec(10, TINY).eval()
    one, other = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 9, 8]])
    assert torch.allclose(model(one)[:, :2], model(other)[:, :2], atol=1e-6)
    assert not torch.allclose(model(one)[:, 2:], model(other)[:, 2:], atol=1e-3)


def test_it_learns_what_comes_next_and_the_seed_decides_the_rest():
    sequences = cycles()
    validation = [(sequence[:-1], sequence[-1]) for sequence in sequences]
    train = [sequence[:-1] for sequence in sequences]
    state = torch.random.get_rng_state()
    first = train_sasrec(train, validation, 7, exclude_seen=False, settings=TINY, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    ranked = rank_histories(first, [[3, 4, 5], [0, 1]], 1, exclude_seen=False)
    assert ranked[:, 0].tolist() == [6, 2]
    again = train_sasrec(train, validation, 7, exclude_seen=False, settings=TINY, seed=1)
    assert np.array_equal(first.score([[3, 4]]), again.score([[3, 4]]))


def test_the_learning_rate_warms_up_and_falls_by_a_cosine():
    """Forty batches of one window: a tenth of them is 4; what is left falls by quarters of a half-turn, 9 each."""
    rates = []
    hook = register_optimizer_step_pre_hook(lambda optimiser, *_: rates.append(optimiser.param_groups[0]["lr"]))
    try:
        settings = replace(TINY, learning_rate=0.01, batch_tokens=2, epochs=1)
        train_sasrec(cycles(length=2), [([1], 2)], 7, exclude_seen=False, settings=settings, seed=0)
    finally:
        hook.remove()
    quarter = math.sqrt(0.5) / 2
    wanted = [0, 0.005, 0.01, 0.01 * (0.5 + quarter), 0.005, 0.01 * (0.5 - quarter)]
    assert len(rates) == 40
    assert [rates[place] for place in (0, 2, 4, 13, 22, 31)] == pytest.approx(wanted)


def test_where_nobody_has_two_items_there_is_nothing_to_learn():
    model = train_sasrec([[1], [2], [0]], [([1], 2)], 3, exclude_seen=False, settings=TINY, seed=0)
    assert np.isfinite(model.score([[1]])).all()


def test_training_stops_when_validation_stops_rising(capsys):
    sequences = cycles()
    impossible = [(sequence[:-1], sequence[-1]) for sequence in sequences]
    # Under this protocol the held-out item stands in the history, so that NDCG stays at 0 from the first epoch on.
    settings = SasrecSettings(window=6, hidden=8, layers=1, heads=1, batch_tokens=60, epochs=50, patience=2)
    train_sasrec([s[:-1] for s in sequences], impossible, 7, exclude_seen=True, settings=settings, seed=0)
    assert "3/50" in capsys.readouterr().err
