import subprocess
import sys

import pytest

from gream.enrichment.cache import Reply, ReplyCache
from gream.errors import EnrichmentError

pytestmark = pytest.mark.unit

WRITER = """
import sys
from pathlib import Path
from gream.enrichment.cache import Reply, ReplyCache

cache = ReplyCache(Path(sys.argv[1]))
for number in range(10**9):
    cache.put(str(number), Reply("x" * 20_000, "stop", number, 1, 9))
    print(number, flush=True)
"""


def test_answers_outlive_the_object_and_a_later_one_takes_the_place(tmp_path):
    reply = Reply('{"profile": "é"}', "stop", 12, 3, 9)
    with ReplyCache(tmp_path / "deep" / "cache.sqlite") as cache:
        assert cache.get("k") is None
        cache.put("k", Reply("another", "length", 1, 1, 1))
        cache.put("k", reply)
    with ReplyCache(tmp_path / "deep" / "cache.sqlite") as cache:
        assert cache.get("k") == reply
        assert len(cache) == 1


def test_two_openings_share_the_file(tmp_path):
    path = tmp_path / "cache.sqlite"
    with ReplyCache(path) as one, ReplyCache(path) as other:
        one.put("a", Reply("1", "stop", 1, 1, 9))
        other.put("b", Reply("2", "stop", 1, 1, 9))
        assert (len(one), len(other)) == (2, 2)


@pytest.mark.parametrize("written", [1, 40])
def test_a_writer_killed_mid_write_leaves_every_answer_that_it_acknowledged(tmp_path, written):
    path = tmp_path / "cache.sqlite"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        acknowledged = [int(writer.stdout.readline()) for _ in range(written)]
        writer.kill()  # SIGKILL, while the next transactions are under way
    with ReplyCache(path) as cache:
        assert acknowledged == list(range(written))
        for number in acknowledged:
            assert cache.get(str(number)) == Reply("x" * 20_000, "stop", number, 1, 9)
        cache.put("after", Reply("y", "stop", 1, 1, 9))
        assert cache.get("after") == Reply("y", "stop", 1, 1, 9)


def test_another_file_in_its_place_is_named(tmp_path):
    path = tmp_path / "cache.sqlite"
    path.write_text("not a database, but long enough to look like a file with something in it" * 10)
    with pytest.raises(EnrichmentError, match=r"cache\.sqlite is not a usable reply cache"):
        ReplyCache(path)
    assert path.read_text().startswith("not a database")
