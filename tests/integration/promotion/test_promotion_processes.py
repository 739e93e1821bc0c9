"""Real processes at one champion: of two promoters one wins, and a killed one leaves a whole champion."""

import os
import signal
import time
from itertools import cycle

import pytest
from racers import SPAWN, winners

from gream.artifacts import atomic_folder, content_digest
from gream.promotion.champion import PromotionError, install, open_champion

pytestmark = pytest.mark.integration


@pytest.fixture
def digests(tmp_path):
    """Three policies that are kept at the place; the first is the champion."""
    place = open_champion(str(tmp_path / "champion"))
    names = []
    for name in ("A", "B", "C"):
        with atomic_folder(tmp_path / name, "policy") as folder:
            (folder / "weights").write_text(name)
        names.append(place.keep(tmp_path / name))
    install(place, tmp_path / "A")
    return names


def test_of_two_promoters_exactly_one_wins_each_time(tmp_path, digests):
    folder = str(tmp_path / "champion")
    won = winners(open_champion, folder, digests[1:], PromotionError)
    history = [state.model_dump_json() for state in open_champion(folder).history()]
    assert history[:-1] == won[::-1]


def promote_for_ever(folder, digests):
    place = open_champion(folder)
    for digest in cycle(digests):
        place.move(digest, expected=place.read())


def test_a_promoter_that_is_killed_leaves_a_whole_champion(tmp_path, digests):
    folder = tmp_path / "champion"
    place = open_champion(str(folder))
    for _ in range(3):
        moves = place.read().number
        worker = SPAWN.Process(target=promote_for_ever, args=(str(folder), digests))
        worker.start()
        while place.read().number < moves + 5:
            assert worker.is_alive()
            time.sleep(0.01)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        now = place.read()
        assert content_digest((folder / "current" / "policy").resolve()) == now.digest
        assert [state.number for state in place.history()] == list(range(now.number, 0, -1))
