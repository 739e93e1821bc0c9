"""Settings of the online path, from the environment (`GREAM_...`), checked at the door."""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gream.errors import ConfigError
from serving.variables import PREFIX, refuse_misspelled

EVIDENCE_FOLDER: Final = "evidence"
"""Folder in the state folder, see `gream.monitoring.evidence`."""


class ServingSettings(BaseSettings):
    """Everything that decides how the online path runs; every field is the environment variable `GREAM_<FIELD>`, where
    that is not empty."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    policy: str = "runs/latest/policy"
    """URI of the policy bundle: a folder, `file://...` or `s3://bucket/prefix` (endpoint and keys: see docs)."""
    policy_poll_seconds: Annotated[float, Field(gt=0)] = 5.0
    """How often the engine looks whether another bundle stands at the URI."""
    engine: Literal["transformers", "vllm"] = "transformers"
    max_batch: Annotated[int, Field(ge=1, le=1024)] = 64
    """Requests that the engine computes together at most."""
    engine_batches: Annotated[int, Field(ge=1, le=64)] = 2
    """Batches of one mode that the Transformers engine computes at the same time, each with its share of the cores."""
    engine_queue: Annotated[int, Field(ge=1)] = 256
    """Requests of one mode that may wait for the engine; more are refused at once."""
    engine_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    engine_url: str | None = None
    """Where the engine is served, `http://HOST:PORT`; by default `serving.service` starts one beside the API."""

    vllm_cache_gib: Annotated[float, Field(gt=0)] = 2.0
    """Memory for vLLM's key-value cache. Weights come on top, and during a swap the same again for the new policy."""
    vllm_tensor_parallel: Annotated[int, Field(ge=1)] = 1
    """GPUs that share one copy of the weights."""
    vllm_eager: bool = False
    """Start without compiling: sooner ready, slower afterwards."""

    state: Path = Path("runs/serving")
    """Folder of this replica: Feast's registry, offline files and sqlite store, the feedback outbox, the evidence."""
    online_store: Literal["sqlite", "redis"] = "sqlite"
    redis: SecretStr = SecretStr("127.0.0.1:6379")
    """Feast's connection string for Redis: `host:port[,password=...][,ssl=true]`."""
    feature_timeout_seconds: Annotated[float, Field(gt=0)] = 0.5
    history_window: Annotated[int, Field(ge=1)] = 500
    """Most recent events of a user that the feature store keeps, offline and online."""

    evidence_key: SecretStr = SecretStr("")
    """Secret of the user hashes in the evidence of requests, one for all replicas; without it none is written."""
    evidence_store: str | None = None
    """`s3://bucket/prefix` where the evidence of all replicas comes together; by default it stays in `state`."""

    api_keys: SecretStr = SecretStr("")
    """`name:key,name:key`; empty means that no key is asked for."""
    allowed_hosts: str = ""
    """`host,host`, without ports: the names by which requests may call this server; empty means any."""
    max_k: Annotated[int, Field(ge=10)] = 100
    """Not below the 10 items that are answered where no k is given."""
    max_history: Annotated[int, Field(ge=1)] = 1_000
    max_batch_requests: Annotated[int, Field(ge=1)] = 256
    max_body_bytes: Annotated[int, Field(ge=1_024)] = 1_048_576
    max_feedback_age_days: Annotated[int, Field(ge=1)] = 30
    """Events that happened longer ago are refused; ids of events are remembered at least as long."""
    sample_users: Path | None = None
    """A Parquet file whose column `user_id` `GET /users` may show; by default that route shows nobody."""
    max_concurrency: Annotated[int, Field(ge=1)] = 256
    """Requests in flight; more are answered 429 with Retry-After."""

    @field_validator("max_batch_requests")
    @classmethod
    def _fits_the_queue(cls, requests: int, info: ValidationInfo) -> int:
        """A batch waits for the engine whole: one larger than the queue would be refused however often it comes."""
        queue = info.data.get("engine_queue")
        if queue is not None and requests > queue:
            raise ValueError(f"a batch waits in the engine's queue, which takes GREAM_ENGINE_QUEUE = {queue} at most")
        return requests

    @property
    def evidence(self) -> Path:
        """Folder of this replica's evidence."""
        return self.state / EVIDENCE_FOLDER


SETTINGS: Final = tuple(field.upper() for field in ServingSettings.model_fields)
"""As they are called in the environment, without the prefix."""


def load_settings() -> ServingSettings:
    """The settings of this process.

    Raises:
        ConfigError: a variable has a value that is not allowed, or nearly a setting's name.
    """
    refuse_misspelled(os.environ, SETTINGS)
    try:
        return ServingSettings()
    except ValidationError as error:
        problem = error.errors()[0]
        variable = f"{PREFIX}{problem['loc'][0]}".upper()
        reason = str(problem["msg"]).removeprefix("Value error, ")
        raise ConfigError(f"{variable} = {problem['input']!r} is not allowed: {reason}.") from error
