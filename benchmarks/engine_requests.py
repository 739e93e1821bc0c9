"""What an engine is asked for users of the catalog that lies beside a policy."""

from itertools import cycle, islice
from pathlib import Path

from gream.data.catalog import Catalog
from serving.contracts import EngineRequest

K = 10


def engine_requests(policy: Path, count: int) -> list[EngineRequest]:
    """Direct requests for `K` items, one user after the other and over again, nothing of their history among them."""
    histories = Catalog.load(policy.resolve().parent / "catalog").sequences().values()
    return [EngineRequest(history=tuple(items), k=K, exclude=tuple(items)) for items in islice(cycle(histories), count)]
