import pytest
from corpora_cinema import cinema


@pytest.fixture
def films():
    return cinema()
