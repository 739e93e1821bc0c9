from collections import Counter

import numpy as np
import pytest

from gream.corpora.curriculum import CHUNK_BATCHES, bucketed_batches, insert_rising, training_batches
from gream.corpora.example import Example

pytestmark = pytest.mark.unit


class Dice:
    """A generator that rolls what it is told, and says how often it was asked."""

    def __init__(self, *rolls):
        self.rolls = list(rolls)

    def random(self):
        return self.rolls.pop(0)


def test_probability_is_i_over_n_times_the_ratio_times_the_factor():
    # n = 4, two reasoning batches, factor 1.5: 0, 0.1875, 0.375, 0.5625.
    just_below = Dice(0.0, 0.1874, 0.3749)
    assert insert_rising("abcd", "RS", 1.5, just_below) == ["a", "b", "R", "c", "S", "d"]
    assert just_below.rolls == []
    at_it = Dice(0.0, 0.1875, 0.375, 0.5625)
    assert insert_rising("abcd", "RS", 1.5, at_it) == ["a", "b", "c", "d", "R", "S"]


def test_nothing_follows_the_first_batch_and_everything_is_used():
    generator = np.random.default_rng(0)
    assert insert_rising("abc", "RST", 0.0, generator) == ["a", "b", "c", "R", "S", "T"]
    assert insert_rising("abc", "RST", 100.0, generator) == ["a", "b", "R", "c", "S", "T"]
    assert insert_rising("abc", "", 1.5, generator) == ["a", "b", "c"]
    assert insert_rising("", "RS", 1.5, generator) == ["R", "S"]


def test_insertions_grow_denser_and_add_up_to_factor_over_two():
    order = insert_rising(["a"] * 3000, ["R"] * 1500, 1.5, np.random.default_rng(0))
    inserted = order[: len(order) - 1 - order[::-1].index("a") + 1]
    share = inserted.count("R") / 1500
    assert share == pytest.approx(0.75, abs=0.05)
    half = len(inserted) // 2
    assert inserted[half:].count("R") > 2 * inserted[:half].count("R")


def examples(task, count):
    return [Example(task, f"{task}{n}", "x" * (n % 17)) for n in range(count)]


def batches(order, alignment, reasoning, factor=1.5, seed=0):
    return training_batches(
        alignment,
        reasoning,
        batch_size=4,
        batch_tokens=0,
        factor=factor,
        order=order,
        length=lambda example: len(example.answer),
        rng=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("order", ["curriculum", "uniform", "sequential"])
def test_every_example_is_used_once_in_pure_batches(order):
    alignment, reasoning = examples("seqrec", 122), examples("reasoning", 31)
    plan = batches(order, alignment, reasoning)
    assert Counter(example for batch in plan for example in batch) == Counter([*alignment, *reasoning])
    assert all(len({example.task for example in batch}) == 1 for batch in plan)
    assert plan == batches(order, alignment, reasoning)
    assert plan != batches(order, alignment, reasoning, seed=1)


def test_sequential_ends_with_all_reasoning():
    plan = batches("sequential", examples("seqrec", 40), examples("reasoning", 20))
    assert [batch[0].task for batch in plan] == ["seqrec"] * 10 + ["reasoning"] * 5


def test_with_factor_zero_each_curriculum_part_ends_with_its_third():
    alignment, reasoning = examples("seqrec", 120), examples("reasoning", 36)
    plan = batches("curriculum", alignment, reasoning, factor=0.0)
    tasks = ["R" if batch[0].task == "reasoning" else "A" for batch in plan]
    assert "".join(tasks[:26]) == ("A" * 10 + "R" * 3) * 2
    assert sorted(tasks[26:]) == ["A"] * 10 + ["R"] * 3
    assert tasks[26:] != sorted(tasks[26:])
    prompts = [
        {example.prompt for batch in plan[start:stop] for example in batch} for start, stop in ((10, 13), (23, 26))
    ]
    assert prompts == [{f"reasoning{n}" for n in range(12)}, {f"reasoning{n}" for n in range(12, 24)}]


def test_three_passes_give_every_part_all_chains():
    reasoning = examples("reasoning", 8)
    plan = batches("curriculum", examples("seqrec", 120), reasoning * 3, factor=0.0)
    for start in (10, 22):
        assert {example for batch in plan[start : start + 2] for example in batch} == set(reasoning)


def test_batches_hold_similar_lengths():
    values = list(np.random.default_rng(0).integers(0, 1000, size=8 * CHUNK_BATCHES * 2))
    cut = bucketed_batches(values, 8, 0, int, np.random.default_rng(1))
    assert Counter(value for batch in cut for value in batch) == Counter(values)
    assert {len(batch) for batch in cut} == {8}
    spread = np.mean([max(batch) - min(batch) for batch in cut])
    assert spread < 40  # 1000/50 where the lengths are sorted; about 780 in unsorted batches of eight
    firsts = [batch[0] for batch in cut]
    assert firsts != sorted(firsts)
    assert [len(batch) for batch in bucketed_batches(values[:3], 8, 0, int, np.random.default_rng(1))] == [3]
    assert bucketed_batches([], 8, 0, int, np.random.default_rng(1)) == []


def test_short_examples_come_in_larger_batches():
    values = [1, 1, 1, 1, 1, 2, 2, 3, 9, 30]
    cut = bucketed_batches(values, 4, 8, int, np.random.default_rng(0))
    # Rising: four ones fill the number; 1, 2, 2 make 6 of 8 tokens and a 3 would make 12; 9 and 30 exceed 8 alone.
    assert sorted(sorted(batch) for batch in cut) == [[1, 1, 1, 1], [1, 2, 2], [3], [9], [30]]
