"""The champion: a pointer to the policy that is served. It moves by compare-and-swap, and it can go back.

A place is a folder or `s3://bucket/prefix`; both have the same doors. A promotion needs a verdict of the gate that
compared the challenger with the champion that stands there at this moment: if somebody promoted another one meanwhile,
the verdict is about a policy that nobody serves any more, and the promotion is refused.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gream.artifacts import VERSION_DIGITS, content_digest, verify_artifact
from gream.errors import GreamError
from gream.objectstore.uri import is_store_uri
from gream.objectstore.way_back import way_back
from gream.policy.bundle import KIND
from gream.promotion.verdict import Verdict


class PromotionError(GreamError):
    """The champion stays: there is no ground to move it, or somebody else moved it first."""


class Champion(BaseModel):
    """A state of the pointer.

    Attributes:
        digest: of the policy bundle's content.
        since: when the pointer moved there.
        number: counts its moves from 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    since: datetime
    number: Annotated[int, Field(ge=1)]

    @property
    def version(self) -> str:
        """As the policy is called in answers, evidence and logs."""
        return self.digest[:VERSION_DIGITS]

    def age_seconds(self, now: datetime | None = None) -> float:
        """For how long it has been the champion."""
        return ((now or datetime.now(UTC)) - self.since).total_seconds()


class ChampionPlace(Protocol):
    """Where a champion stands, and what stood there before."""

    def read(self) -> Champion | None:
        """The champion; None where there never was one.

        Raises:
            StoreError: the place cannot be read.
        """
        ...

    def history(self) -> Iterator[Champion]:
        """All states, the present one first.

        Raises:
            StoreError: the place cannot be read.
        """
        ...

    def keep(self, bundle: Path) -> str:
        """Copy a bundle to the place, as a version that nobody serves yet.

        Returns:
            Its digest.

        Raises:
            ArtifactError: it is not a sound bundle.
            StoreError: the place cannot be written.
        """
        ...

    def fetch(self, digest: str, cache: Path) -> Path:
        """The folder of a version that is kept; read it, never write into it.

        Args:
            digest: of the version.
            cache: folder for what comes from a store.

        Raises:
            StoreError: there is no such version, or the place does not answer.
            ArtifactError: what is kept is damaged.
        """
        ...

    def move(self, digest: str, expected: Champion | None) -> Champion:
        """Let the pointer name a version that is kept, if it still says what the caller has read.

        Raises:
            PromotionError: somebody else moved it.
            StoreError: there is no such version, or the place cannot be written.
        """
        ...


def open_champion(place: str) -> ChampionPlace:
    """The champion of a folder or `s3://bucket/prefix`.

    Raises:
        ConfigError: the URI or the environment does not fit.
    """
    if is_store_uri(place):
        from gream.promotion.champion_store import StoreChampion

        return StoreChampion(place)
    from gream.promotion.champion_folder import FolderChampion

    return FolderChampion(Path(place))


def install(place: ChampionPlace, bundle: Path) -> Champion:
    """Make a policy the first champion: there is nothing yet that it could be compared with.

    Raises:
        PromotionError: there is a champion already.
        ArtifactError: the bundle is not sound.
        StoreError: see `ChampionPlace`.
    """
    if (now := place.read()) is not None:
        if now.digest == content_digest(bundle):
            raise PromotionError(f"{now.version} is the champion here already: there is nothing to move.")
        raise PromotionError(f"{now.version} is the champion here: another policy needs a verdict of the gate.")
    return place.move(place.keep(bundle), expected=None)


def promote(place: ChampionPlace, bundle: Path, verdict: Verdict) -> Champion:
    """Make a challenger the champion.

    Args:
        place: where the champion stands.
        bundle: of the challenger.
        verdict: of the gate, for this challenger against the present champion.

    Raises:
        PromotionError: the verdict refuses it, is about other policies, or the champion was moved meanwhile.
        ArtifactError: the bundle is not sound.
        StoreError: see `ChampionPlace`.
    """
    verify_artifact(bundle, KIND)
    digest = content_digest(bundle)
    if verdict.challenger != digest:
        raise PromotionError(
            f"the verdict is about challenger {verdict.challenger[:VERSION_DIGITS]}, "
            f"but {bundle} is {digest[:VERSION_DIGITS]}."
        )
    _ground_to_move(place, verdict)  # Before a long copy.
    place.keep(bundle)
    return promote_kept(place, verdict)


def promote_kept(place: ChampionPlace, verdict: Verdict) -> Champion:
    """Make a challenger that is kept at the place the champion; arguments and errors as those of `promote`."""
    return place.move(verdict.challenger, expected=_ground_to_move(place, verdict))


def _ground_to_move(place: ChampionPlace, verdict: Verdict) -> Champion:
    """The champion that the verdict lets be replaced."""
    if not verdict.accepted:
        raise PromotionError("the gate refused this challenger: " + " ".join(verdict.reasons))
    now = place.read()
    if now is None or now.digest != verdict.champion:
        stands = now.version if now else "nobody"
        raise PromotionError(
            f"the verdict compares with champion {verdict.champion[:VERSION_DIGITS]}, "
            f"but {stands} is the champion now: compare again."
        )
    return now


def roll_back(place: ChampionPlace) -> Champion:
    """Go back to the champion before the present one.

    Raises:
        PromotionError: there was none before, or the champion was moved meanwhile.
        StoreError: see `ChampionPlace`.
    """
    states = list(place.history())
    before = predecessor(states)
    if before is None:
        raise PromotionError("there is no earlier champion to go back to.")
    return place.move(before.digest, expected=states[0])


def predecessor(states: Iterable[Champion]) -> Champion | None:
    """What a rollback goes back to; `states` are all of them, the present one first."""
    line = way_back(states)
    return line[1] if len(line) > 1 else None
