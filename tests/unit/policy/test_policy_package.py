import subprocess
import sys

import pytest

import gream.policy

pytestmark = pytest.mark.unit


def test_resolving_a_title_does_not_load_torch():
    code = "import gream.policy.titles, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_door_is_there_and_nothing_else():
    assert gream.policy.Policy.__name__ == "Policy"
    with pytest.raises(AttributeError, match="has no attribute 'Polity'"):
        _ = gream.policy.Polity
