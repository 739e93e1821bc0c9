"""The endpoint's answers by the content of the question, so that no question is paid for twice.

One SQLite file with its classic rollback journal: every answer is one transaction, on disk before `put` returns. A
process killed at any instant leaves all earlier answers and no half of a later one, and several processes may share
the file. Answers are kept as they came, valid or not: what an answer means is judged again at every reading, so a run
repeated from the cache decides as the first one did.
"""

import dataclasses
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from gream.errors import EnrichmentError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    token_limit INTEGER NOT NULL
)
"""
_LOCK_WAIT_S: Final = 60.0


@dataclass(frozen=True)
class Reply:
    """One answer as it came, what it was charged for, and how many tokens it could have had."""

    content: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    token_limit: int

    def fits(self, token_limit: int) -> bool:
        """Whether it answers a question with this limit too: one that was cut off does not where there is more room."""
        return self.finish_reason != "length" or self.token_limit >= token_limit


class ReplyCache:
    """Answers by key, in a file (`path`) that survives its process. Use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        """Open the cache at `path`, or begin one there.

        Raises:
            EnrichmentError: the file is something else than such a cache.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # Without an isolation level each statement commits by itself.
        self._connection = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)
        try:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise EnrichmentError(
                f"{path} is not a usable reply cache ({error}); move it away to begin a new one."
            ) from error

    def __enter__(self) -> "ReplyCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def __len__(self) -> int:
        count: int = self._connection.execute("SELECT COUNT(*) FROM answers").fetchone()[0]
        return count

    def get(self, key: str) -> Reply | None:
        """The answer kept under `key`, if there is one."""
        row = self._connection.execute(
            "SELECT content, finish_reason, prompt_tokens, completion_tokens, token_limit FROM answers WHERE key = ?",
            (key,),
        ).fetchone()
        return Reply(*row) if row else None

    def put(self, key: str, reply: Reply) -> None:
        """Keep an answer, in place of an earlier one under its key; it is on disk when this returns."""
        self._connection.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", (key, *dataclasses.astuple(reply))
        )
