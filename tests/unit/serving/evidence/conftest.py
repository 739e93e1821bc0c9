from collections import Counter

import pytest
from evidence_rows import START, request_evidence

from gream.monitoring.evidence import Window
from gream.monitoring.evidence_reader import read_evidence
from serving.evidence.journal import Journal

HOUR = 3_600


@pytest.fixture
def request_row():
    """See `request_evidence`; the category is no ASCII."""
    return lambda request_id, **changes: request_evidence(request_id, **{"top_category": "Comédie", **changes})


class Told:
    """What a journal told.

    Attributes:
        requests: by outcome.
        failures: by place.
        waiting: after the last round.
    """

    def __init__(self):
        self.requests = Counter()
        self.failures = Counter()
        self.waiting = None

    def take_requests(self, outcome, number):
        self.requests[outcome] += number

    def take_failure(self, place):
        self.failures[place] += 1

    def take_waiting(self, waiting):
        self.waiting = waiting


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def journal(tmp_path, told):
    """Makes journals in one folder, as one process after the other does; one that is not stopped was killed."""
    return lambda: Journal(
        tmp_path / "spool", tmp_path / "evidence", told.take_requests, told.take_failure, told.take_waiting
    )


@pytest.fixture
def restart(journal):
    """A process that starts, and is stopped at once."""

    def run():
        running = journal()
        running.start()
        running.stop()

    return run


@pytest.fixture
def read(tmp_path):
    return lambda: read_evidence(tmp_path / "evidence", Window(START, START + 2 * HOUR), 0, "key")


@pytest.fixture
def parts(tmp_path):
    """The files of the log, hidden ones too."""
    return lambda: sorted(path for path in (tmp_path / "evidence").rglob("*") if path.is_file())
