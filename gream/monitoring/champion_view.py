"""What the monitor needs to know of the champion: who it is, since when, and its items. No weights."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gream.artifacts import VERSION_DIGITS, open_artifact
from gream.data.catalog import Catalog
from gream.indexing.collision_limit import rate_as_made
from gream.indexing.semantic_index import SemanticIndex
from gream.monitoring.catalogue import CatalogueLimits, CountResult, count_catalogue
from gream.monitoring.served_items import ServedItems
from gream.monitoring.skew import SkewLimits, TrainedTaste, trained_on
from gream.objectstore.uri import ArtifactUri, is_store_uri
from gream.policy.bundle import FACTS, INDEX, ITEMS, KIND, PolicyFacts, read_facts
from gream.promotion.champion import Champion


@dataclass(frozen=True)
class ChampionView:
    """Attributes:
    champion: the state of the pointer.
    facts: of its bundle.
    made_from: version of the policy that has the same weights and fewer items; None for one that was trained.
    index: of its bundle.
    served: its items.
    catalog: the shop's catalog as it is now.
    """

    champion: Champion
    facts: PolicyFacts
    made_from: str | None
    index: SemanticIndex
    served: ServedItems
    catalog: Catalog

    @classmethod
    def open(cls, place: str, champion: Champion, catalog: str, cache: Path) -> "ChampionView":
        """Look at the champion of a place.

        Args:
            place: see `gream.promotion.champion`.
            champion: what the pointer there says.
            catalog: folder or `s3://bucket/prefix` of the shop's catalog; how popular items were in the champion's
                training data is counted there.
            cache: for what comes from a store.

        Raises:
            ConfigError: a URI or the environment does not fit.
            StoreError: a store does not answer.
            ArtifactError: the bundle or the catalog is not sound.
        """
        bundle, shop = champion_parts(place, champion, cache), Catalog.load(_catalog(catalog, cache))
        index, items = SemanticIndex.load(bundle / INDEX), pl.read_parquet(bundle / ITEMS)
        made_from = open_artifact(bundle, KIND).get("made_from")
        before = made_from[:VERSION_DIGITS] if made_from else None
        facts = read_facts(bundle)
        past = trained_on(shop.interactions, facts.trained_until)
        return cls(champion, facts, before, index, ServedItems.of(index, items, past), shop)

    def counts(self, limits: CatalogueLimits) -> tuple[CountResult, ...]:
        """The catalogue now beside the one that is served."""
        served = set(self.index.item_ids)
        return count_catalogue(self.catalog.items, served, self.index.codes, limits, rate_as_made(self.index))

    def trained_taste(self, limits: SkewLimits, min_users: int) -> TrainedTaste:
        """What the users of its training data liked at the end of it; `min_users` are those that a window needs."""
        past = trained_on(self.catalog.interactions, self.facts.trained_until)
        window = self.facts.history_window
        return TrainedTaste.of(past, self.catalog.items, self.served, window, limits, min_users)


def champion_parts(place: str, champion: Champion, cache: Path) -> Path:
    """The folder of a champion's bundle, from a store without its weights.

    Args and errors: see `ChampionView.open`.
    """
    if not is_store_uri(place):
        return Path(place) / "versions" / champion.digest
    from gream.objectstore.artifacts import fetch_parts

    return fetch_parts(ArtifactUri.parse(place).pin(champion.digest), (FACTS, INDEX, ITEMS), cache / "champions")


def _catalog(catalog: str, cache: Path) -> Path:
    if not is_store_uri(catalog):
        return Path(catalog)
    from gream.objectstore import fetch_artifact

    return fetch_artifact(catalog, cache / "catalogs")
