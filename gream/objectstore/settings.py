"""Where the S3 server is and who we are to it: environment variables, since a key has no place in a versioned file.

What is read:

    GREAM_S3_ENDPOINT       URL of the server, e.g. http://127.0.0.1:8333 or https://s3.eu-west-1.amazonaws.com
    AWS_ACCESS_KEY_ID       the key pair, as every S3 tool reads it,
    AWS_SECRET_ACCESS_KEY
    AWS_SESSION_TOKEN       and the token that comes with a temporary one
    GREAM_S3_SECRET         instead of the pair: folder of a mounted Secret with the files `accesskey` and `secretkey`,
                            the names in KFP's `mlpipeline-minio-artifact`
    AWS_REGION              where it is not set: the region in an Amazon host's name, or the bucket's if the name has
                            none; us-east-1 for other servers, which do not mind
    AWS_CA_BUNDLE           PEM file of the authority that signed the server's certificate, where it is a private one
    GREAM_S3_RETRIES        how often a request is sent again: at once, then after 2, 4, 8, ... seconds, at most 120.
                            5 where it is not set, half a minute in all; 8 sit out four minutes
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gream.errors import ConfigError

ENDPOINT: Final = "GREAM_S3_ENDPOINT"
ACCESS_KEY: Final = "AWS_ACCESS_KEY_ID"
SECRET_KEY: Final = "AWS_SECRET_ACCESS_KEY"
SESSION_TOKEN: Final = "AWS_SESSION_TOKEN"
SECRET_FOLDER: Final = "GREAM_S3_SECRET"
REGION: Final = "AWS_REGION"
CA_BUNDLE: Final = "AWS_CA_BUNDLE"
RETRIES: Final = "GREAM_S3_RETRIES"
AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn")
"""How the names of hosts end that may have their region in them."""


@dataclass(frozen=True)
class StoreSettings:
    """One S3 server and one key pair. The keys are left out of `repr`, so that no log shows them.

    Attributes:
        endpoint: URL with scheme, host and perhaps a port, nothing behind them.
        region: None lets the SDK take it from an Amazon host's name. One that is given goes before the name's.
        ca_bundle: PEM file of a private certificate authority; None for the public ones.
        retries: how often a request that failed for the server's or the network's reasons is sent again.
    """

    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = "us-east-1"
    ca_bundle: Path | None = None
    retries: int = 5

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "StoreSettings":
        """The settings that the variables above make.

        Raises:
            ConfigError: one is missing or not of its form.
        """
        values = {name: value.strip() for name, value in environment.items() if value.strip()}
        endpoint = values.get(ENDPOINT, "").rstrip("/")
        if not endpoint:
            raise ConfigError(f"s3:// needs the environment variable {ENDPOINT}: the URL of the S3 server.")
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.path:
            raise ConfigError(f"{ENDPOINT} must be http://HOST[:PORT] or https://HOST[:PORT], without keys or a path.")
        access_key, secret_key = _key_pair(values)
        ca_bundle = Path(values[CA_BUNDLE]) if CA_BUNDLE in values else None
        if ca_bundle is not None and not ca_bundle.is_file():
            raise ConfigError(f"{CA_BUNDLE} names {ca_bundle}, which is no file.")
        retries = values.get(RETRIES, "5")
        if not (retries.isascii() and retries.isdigit() and int(retries) <= 20):
            raise ConfigError(f"{RETRIES} = {retries!r} is not allowed; allowed are 0 to 20.")
        return cls(
            endpoint=endpoint,
            access_key=access_key,
            secret_key=secret_key,
            session_token=values.get(SESSION_TOKEN) if SECRET_FOLDER not in values else None,
            region=values.get(REGION, None if parts.hostname.endswith(AMAZON) else "us-east-1"),
            ca_bundle=ca_bundle,
            retries=int(retries),
        )

    @property
    def host(self) -> str:
        """Host and port, as the SDK wants them."""
        return urlsplit(self.endpoint).netloc

    @property
    def secure(self) -> bool:
        """Whether the server is spoken to over TLS."""
        return self.endpoint.startswith("https://")


def _key_pair(values: Mapping[str, str]) -> tuple[str, str]:
    if SECRET_FOLDER in values:
        folder = Path(values[SECRET_FOLDER])
        pair = [_secret_file(folder / name) for name in ("accesskey", "secretkey")]
        return pair[0], pair[1]
    for name in (ACCESS_KEY, SECRET_KEY):
        if name not in values:
            raise ConfigError(f"s3:// needs the environment variable {name}, or {SECRET_FOLDER}: a mounted Secret.")
    return values[ACCESS_KEY], values[SECRET_KEY]


def _secret_file(path: Path) -> str:
    try:
        content = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{SECRET_FOLDER}: {path} cannot be read ({error.strerror}).") from error
    if not content:
        raise ConfigError(f"{SECRET_FOLDER}: {path} is empty.")
    return content
