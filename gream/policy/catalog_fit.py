"""Whether a policy and a catalog are of one shop.

Asked of another shop's users, a policy passes over all that they have seen, and answers everybody the same.
"""

from pathlib import Path
from typing import Final

import polars as pl

from gream import columns
from gream.artifacts import open_artifact
from gream.data.catalog import Catalog
from gream.errors import RequestError
from gream.policy.bundle import ITEMS, KIND, read_facts

_ONE_IN: Final = 10
"""Of a catalog's items that a policy must know. So few, because a shop may have grown a lot since the training."""


def require_fit(policy: Path, catalog: Catalog) -> None:
    """Refuse a catalog whose items a policy hardly knows.

    Args:
        policy: a policy bundle.
        catalog: whose users are to be answered.

    Raises:
        ArtifactError: the policy is not complete.
        RequestError: it knows fewer than a tenth of the items.
    """
    open_artifact(policy, KIND)
    known = catalog.items.join(pl.read_parquet(policy / ITEMS, columns=[columns.ITEM]), on=columns.ITEM, how="semi")
    if known.height * _ONE_IN < catalog.items.height:
        raise RequestError(
            f"the policy was trained on {read_facts(policy).dataset!r} and knows {known.height:,} of the "
            f"{catalog.items.height:,} items of catalog {catalog.facts.dataset!r}: they are of different shops."
        )
