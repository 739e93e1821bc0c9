"""The champion in a folder.

    PLACE/current -> moves/000002         the pointer: one link, replaced by a rename
    PLACE/moves/000002/champion.json      what it says
    PLACE/moves/000002/policy -> ../../versions/DIGEST
    PLACE/versions/DIGEST/                the bundles

Serving is given `PLACE/current/policy`. A move is complete when the link changes: what a killed promoter has left
behind is not the champion, and the next one overwrites it. Promoters wait for each other on a lock.
"""

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from gream.artifacts import VERSION_DIGITS, content_digest, link_or_copy, verify_artifact, write_text_atomic
from gream.errors import ArtifactError, StoreError
from gream.locks import locked
from gream.policy.bundle import KIND
from gream.promotion.champion import Champion, PromotionError

RECORD = "champion.json"
POLICY = "policy"


class FolderChampion:
    """The champion of a folder, which need not exist yet."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._current = place / "current"

    def read(self) -> Champion | None:
        """See `ChampionPlace.read`."""
        return self._parse(self._current / RECORD) if self._current.is_symlink() else None

    def history(self) -> Iterator[Champion]:
        """See `ChampionPlace.history`."""
        state = self.read()
        while state is not None:
            yield state
            state = self._parse(self._move_folder(state.number - 1) / RECORD) if state.number > 1 else None

    def keep(self, bundle: Path) -> str:
        """See `ChampionPlace.keep`."""
        verify_artifact(bundle, KIND)
        digest = content_digest(bundle)
        try:
            with locked(self._place / ".lock"):
                if not self._is_sound(digest):
                    self._copy(bundle, digest)
        except OSError as error:
            raise StoreError(f"{self._place} cannot be written: {error.strerror}.") from error
        return digest

    def fetch(self, digest: str, cache: Path) -> Path:  # noqa: ARG002 - nothing has to be fetched here
        """See `ChampionPlace.fetch`."""
        if not self._version(digest).is_dir():
            raise StoreError(f"{self._place} has no version {digest}.")
        verify_artifact(self._version(digest), KIND)
        return self._version(digest)

    def move(self, digest: str, expected: Champion | None) -> Champion:
        """See `ChampionPlace.move`."""
        try:
            with locked(self._place / ".lock"):
                now = self.read()
                if now != expected:
                    stands = f"{now.version} (move {now.number})" if now else "nobody"
                    raise PromotionError(
                        f"The champion of {self._place} was moved by somebody else: it is {stands}. Read again, and "
                        "decide again."
                    )
                if not self._is_sound(digest):
                    raise StoreError(f"{self._place} has no complete version {digest}: keep the bundle there first.")
                fresh = Champion(digest=digest, since=datetime.now(UTC), number=now.number + 1 if now else 1)
                self._write(fresh)
                return fresh
        except OSError as error:
            raise StoreError(f"{self._place} cannot be written: {error.strerror}.") from error

    def _write(self, champion: Champion) -> None:
        folder = self._move_folder(champion.number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_text_atomic(folder / RECORD, champion.model_dump_json() + "\n")
        (folder / POLICY).symlink_to(Path("..", "..", "versions", champion.digest))
        link = self._place / ".current.partial"
        link.unlink(missing_ok=True)
        link.symlink_to(folder.relative_to(self._place))
        link.replace(self._current)

    def _copy(self, bundle: Path, digest: str) -> None:
        target = self._version(digest)
        target.parent.mkdir(exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{digest[:VERSION_DIGITS]}.partial-"))
        try:
            shutil.copytree(bundle, staging, copy_function=link_or_copy, dirs_exist_ok=True)
            verify_artifact(staging, KIND)
            staging.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)  # What stood there was damaged.
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _is_sound(self, digest: str) -> bool:
        try:
            verify_artifact(self._version(digest), KIND)
        except ArtifactError:
            return False
        return content_digest(self._version(digest)) == digest

    def _parse(self, file: Path) -> Champion:
        try:
            return Champion.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise StoreError(f"{file} is not the record of a champion.") from error

    def _version(self, digest: str) -> Path:
        return self._place / "versions" / digest

    def _move_folder(self, number: int) -> Path:
        return self._place / "moves" / f"{number:06}"
