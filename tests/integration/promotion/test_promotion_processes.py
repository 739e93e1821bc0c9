"""Real processes at one champion: of two promoters one wins, and a killed one leaves a whole champion."""

import multiprocessing
import os
import signal
import time
from itertools import cycle

import pytest

from gream.artifacts import atomic_folder, content_digest
from gream.promotion.champion import PromotionError, install, open_champion

pytestmark = pytest.mark.integration

SPAWN = multiprocessing.get_context("spawn")
ROUNDS = 8


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


def race(folder, digest, barrier, outcomes):
    place = open_champion(folder)
    for number in range(ROUNDS):
        seen = place.read()
        barrier.wait()  # Both have read the same champion, and only now they promote.
        try:
            outcomes.put((number, place.move(digest, expected=seen).model_dump_json()))
        except PromotionError:
            outcomes.put((number, None))
        barrier.wait()


def test_of_two_promoters_exactly_one_wins_each_time(tmp_path, digests):
    folder = str(tmp_path / "champion")
    barrier, outcomes = SPAWN.Barrier(2, timeout=120), SPAWN.Queue()
    racers = [SPAWN.Process(target=race, args=(folder, digest, barrier, outcomes)) for digest in digests[1:]]
    for racer in racers:
        racer.start()
    seen = [outcomes.get(timeout=120) for _ in range(2 * ROUNDS)]
    for racer in racers:
        racer.join()
    won = {number: move for number, move in seen if move is not None}
    assert len(won) == sum(move is not None for _, move in seen) == ROUNDS
    history = [state.model_dump_json() for state in open_champion(folder).history()]
    assert history[:-1] == [won[number] for number in reversed(range(ROUNDS))]


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
