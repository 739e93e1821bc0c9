"""The canary: a second pointer beside the champion's, which some of the replicas serve.

During a trial it names the challenger, at all other times the champion. So its replicas always have a policy to serve
and take their share of the visitors; nobody starts or stops them for a trial, and how many they are is the share.
"""

from pathlib import Path

from gream.errors import StoreError
from gream.promotion.champion import ChampionPlace


def name_canary(canary: ChampionPlace, digest: str) -> None:
    """Let the canary name a version that is kept there.

    Raises:
        StoreError: there is no such version, or the place does not answer.
        PromotionError: somebody else moved it meanwhile.
    """
    now = canary.read()
    if now is None or now.digest != digest:
        canary.move(digest, expected=now)


def follow_champion(canary: ChampionPlace, champion: ChampionPlace, cache: Path) -> None:
    """Let the canary name the champion, and copy it there where it is not yet.

    Args:
        canary: the canary's place.
        champion: the champion's; where there is none, nothing happens.
        cache: folder for what comes from a store.

    Raises:
        StoreError: a place does not answer.
        ArtifactError: the champion's bundle is damaged.
        PromotionError: somebody else moved the canary meanwhile.
    """
    state = champion.read()
    if state is None:
        return
    try:
        name_canary(canary, state.digest)
    except StoreError:  # It is not kept there, or the store is away: then the next line says so.
        name_canary(canary, canary.keep(champion.fetch(state.digest, cache)))
