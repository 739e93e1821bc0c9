import pytest

from gream.policy.narrator import ChainNarrator

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def told(policy):
    def tell(text):
        narrator = ChainNarrator(policy)
        return [narrator.hear(token) for token in policy.prompter.encode([text])[0]]

    return tell


def test_the_pieces_are_the_readable_chain(policy, told, index):
    alien, stalker = ("".join(tokens) for tokens in index.encode(["m0", "m9"]))
    for chain in (
        f"evidence: {alien}{stalker} | likes: Amélie, 日本語 | wants: {alien}",
        "no citation at all",
        f"{stalker}",
        f"  spaces around {alien}   and {alien}  ",
    ):
        assert "".join(told(chain)) == policy.render(chain.strip())


def test_a_citation_comes_in_one_piece(told, index):
    (stalker,) = ("".join(tokens) for tokens in index.encode(["m9"]))
    pieces = [piece for piece in told(f"x{stalker}y") if piece]
    assert pieces == ["x", "[Stalker (1979)]", "y"]


def test_a_citation_that_was_cut_is_not_told(told, index):
    first, second, *_ = index.encode(["m9"])[0]
    assert [piece for piece in told(f"so: {first}{second}") if piece][-1] == ":"
