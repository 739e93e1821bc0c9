import numpy as np
import pytest

from gream.errors import ConfigError
from gream.evaluation.routing import in_thirds

pytestmark = pytest.mark.unit


def test_thirds_by_hand():
    lengths = np.array([9.0, 1.0, 2.0, 8.0, 5.0, 4.0])
    direct = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
    reasoning = np.array([0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    thirds = in_thirds(lengths, direct, reasoning)
    assert [(one.low, one.high, one.users) for one in thirds] == [(1, 2, 2), (4, 5, 2), (8, 9, 2)]
    assert [(one.direct, one.reasoning) for one in thirds] == [(0.5, 1.0), (0.0, 0.5), (1.0, 0.5)]
    assert [one.gain.value for one in thirds] == [0.5, 0.5, -0.5]
    assert thirds[0].gain.low == 0.0


def test_equals_stay_together():
    thirds = in_thirds(np.array([3.0, 3.0, 3.0, 3.0, 7.0]), np.zeros(5), np.ones(5))
    assert [(one.low, one.high, one.users) for one in thirds] == [(3, 3, 4), (7, 7, 1)]


@pytest.mark.parametrize(("known", "direct"), [(np.zeros(0), np.zeros(0)), (np.zeros(3), np.zeros(2))])
def test_every_user_needs_every_value(known, direct):
    with pytest.raises(ConfigError, match="one value of each kind for every user"):
        in_thirds(known, direct, direct)
