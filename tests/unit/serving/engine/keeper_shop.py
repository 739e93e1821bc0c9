"""A policy keeper over a folder, with engines that do as the words of their bundles say."""

from gream.artifacts import atomic_folder, content_digest
from serving.contracts import EngineAnswer, RankedItem
from serving.engine.metrics import EngineMetrics
from serving.engine.policy_keeper import PolicyKeeper
from serving.engine.policy_source import PolicySource

ITEM = RankedItem(item_id="i", title="I", score=-1.0, tokens=("<|a_1|>",))


class Engine:
    """Answers with one item; the words of its bundle make it fail to load or recommend nothing."""

    def __init__(self, bundle, version):
        self.words = (bundle / "weights").read_text()
        if self.words.startswith("broken"):
            raise ValueError("no such layer")
        self.policy_version = version
        self.alive = True
        self.closed = 0
        self.used_late = False

    def recommend(self, requests, listener=None):
        self.used_late |= self.closed > 0
        items = () if self.words.startswith("silent") else (ITEM,)
        return [
            EngineAnswer(items=items, policy_version=self.policy_version, batch_size=1, engine_seconds=0.0)
            for _ in requests
        ]

    def close(self):
        self.closed += 1


class Shop:
    """A keeper over a folder, and every engine that it made."""

    def __init__(self, tmp_path):
        self.folder = tmp_path / "policy"
        self.cache = tmp_path / "cache"
        self.engines = []
        self.metrics = EngineMetrics("transformers")
        self.source = PolicySource(str(self.folder), self.cache)
        self.keeper = PolicyKeeper(self.source, self.load, poll_seconds=0.05, metrics=self.metrics)

    def load(self, bundle, version):
        self.engines.append(Engine(bundle, version))
        return self.engines[-1]

    def publish(self, words):
        with atomic_folder(self.folder, "policy") as staging:
            (staging / "weights").write_text(words)
        return content_digest(self.folder)[:12]

    def cached(self):
        return sorted((bundle / "weights").read_text() for bundle in self.cache.iterdir())

    def count(self, name):
        return self.metrics.swaps.collect()[0].samples[0].value if name == "swaps" else self._failed()

    def _failed(self):
        return self.metrics.failed_swaps.collect()[0].samples[0].value
