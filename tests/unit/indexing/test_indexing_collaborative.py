import numpy as np
import pytest

from gream.errors import DataError
from gream.indexing.collaborative import collaborative_vectors, combine, cooccurrence
from gream.indexing.item_space import unit_rows

pytestmark = pytest.mark.unit

IDS = list("abcdefg")


def test_cooccurrence_by_hand():
    # a b c: neighbours at distance 1 weigh 1, at distance 2 weigh 1/2; b a adds 1 to the pair (a, b).
    counts = cooccurrence([["a", "b", "c"], ["b", "a"], ["d"]], IDS).toarray()
    expected = np.zeros((7, 7))
    expected[0, 1] = expected[1, 0] = 2.0
    expected[1, 2] = expected[2, 1] = 1.0
    expected[0, 2] = expected[2, 0] = 0.5
    np.testing.assert_allclose(counts, expected)


def test_cooccurrence_ends_after_five_steps_and_skips_repeats():
    counts = cooccurrence([["a", "b", "c", "d", "e", "f", "g"], ["a", "a"]], IDS).toarray()
    assert counts[0, 5] == pytest.approx(1 / 5)
    assert counts[0, 6] == 0
    assert counts.diagonal().sum() == 0


def test_items_of_one_circle_are_near_and_strangers_are_zero():
    ids = [*IDS, "never seen", "alone"]
    sequences = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"], ["d", "e", "f"], ["f", "d", "e"], ["e", "f", "d"]]
    vectors = collaborative_vectors([*sequences, ["alone"]], ids, seed=0, dimensions=2)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[3]
    assert near > 0.99
    assert abs(far) < 0.01
    np.testing.assert_allclose(np.linalg.norm(vectors[:6], axis=1), 1.0, rtol=1e-5)
    assert not vectors[7:].any()


def test_strangers_at_the_head_of_the_catalogue_are_zero_too():
    """What the decomposition leaves of their rows is not 0 there, but 1e-15."""
    ids = [f"i{number}" for number in range(120)]
    strangers = [3, 10, 40]
    known = [item for number, item in enumerate(ids) if number not in strangers]
    sequences = [[known[(start + step) % len(known)] for step in (0, 1, 3)] for start in range(len(known))]
    vectors = collaborative_vectors(sequences, ids, seed=0)
    assert np.flatnonzero(~vectors.any(axis=1)).tolist() == strangers


def test_unusable_sequences_are_named():
    with pytest.raises(DataError, match="'x', which is not in the catalogue"):
        collaborative_vectors([["a", "x"]], IDS, seed=0)
    with pytest.raises(DataError, match=r"index\.collaborative_weight = 0"):
        collaborative_vectors([["a"], ["b"], ["c"]], IDS, seed=0)


def blocks(n=60, seed=0):
    generator = np.random.default_rng(seed)
    text = generator.normal(size=(n, 6)) * 5 + 3
    collaborative = unit_rows(text[:, :3] - 3 + generator.normal(size=(n, 3)) * 0.01)
    return text, collaborative


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_blocks_are_centred_with_the_asked_lengths(weight):
    text, collaborative = blocks()
    _, vectors = combine(text, collaborative, weight)
    np.testing.assert_allclose(vectors.mean(axis=0), 0.0, atol=1e-5)
    lengths = np.square(vectors).sum(axis=0)
    assert lengths[:6].sum() / 60 == pytest.approx(1.0, rel=1e-5)
    assert lengths[6:].sum() / 60 == pytest.approx(weight**2, rel=1e-5)


def test_distances_between_texts_are_kept_up_to_scale():
    text, collaborative = blocks()
    space, _ = combine(text, collaborative, 1.0)
    block = space.text_block(text)
    ratio = np.linalg.norm(block[:10] - block[10:20], axis=1) / np.linalg.norm(text[:10] - text[10:20], axis=1)
    np.testing.assert_allclose(ratio, ratio[0])


def test_an_unseen_item_lands_where_its_text_says():
    text, collaborative = blocks()
    truth = collaborative[7].copy()
    collaborative[7] = 0
    space, vectors = combine(text, collaborative, 1.0)
    predicted = space.predict_collaborative(space.text_block(text[7:8]))[0]
    assert predicted @ truth > 0.9
    # Known to the fit or new, an item without interactions gets the same vector from the same text.
    np.testing.assert_allclose(space.project(text[7:8])[0], vectors[7], rtol=1e-5)
    assert not np.allclose(space.project(text[8:9])[0], vectors[8], rtol=1e-3)
