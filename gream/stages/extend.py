"""A challenger without training: the champion's weights with the items of today's catalogue.

Where its codebooks have no room for a new item the run ends here, and where too many items would collide, at the gate:
both want a retraining with a whole new index.
"""

from pathlib import Path
from typing import Any, Final

import polars as pl

from gream import columns
from gream.data.catalog import Catalog
from gream.enrichment.profiles import ItemProfiles
from gream.errors import DataError
from gream.indexing.collision_limit import with_audit
from gream.indexing.semantic_index import SemanticIndex
from gream.policy.bundle import INDEX, ITEMS, KIND, replace_items
from gream.stages.store import Recipe, RunContext, produce

CODE: Final = (
    *("data/assembly.py", "data/catalog.py", "data/split.py", "indexing"),
    *("policy/bundle.py", "prompts", "stages/index.py"),
)


def run(catalog: Path, item_profiles: Path, champion: Path, context: RunContext) -> Path:
    """The folder of the policy.

    Args:
        catalog: from `gream.stages.refresh`.
        item_profiles: from `gream.stages.enrich`.
        champion: the bundle.
        context: the run.

    Raises:
        DataError: the champion knows every item, or its index cannot take the new ones.
        ConfigError: the index's encoder cannot be loaded.
    """
    recipe = Recipe(
        stage="extend",
        kind=KIND,
        settings={},
        seed=0,  # Nothing is drawn.
        inputs={"catalog": catalog, "item_profiles": item_profiles, "champion": champion},
        code=CODE,
    )

    def make(target: Path, _: Path) -> dict[str, Any]:
        # Imported late: a stage that is done already should not wait for torch.
        from gream.indexing.extend import extend_index

        shop, known = Catalog.load(catalog), pl.read_parquet(champion / ITEMS)
        new = shop.items.join(known, on=columns.ITEM, how="anti", maintain_order="left")
        if new.is_empty():
            raise DataError("the champion can recommend every item of the catalog: there is nothing to index.")
        texts = ItemProfiles.load(item_profiles).texts
        index, audit = extend_index(SemanticIndex.load(champion / INDEX), shop, texts)
        # New items come last: the champion's prior counts items by their place.
        replace_items(champion, target, with_audit(index, audit), pl.concat([known, new]))
        return {"new_items": new.height}

    return produce(recipe, make, context.workspace)
