import re

import pytest
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from gream.errors import ConfigError, StoreError
from gream.objectstore.bucket import Bucket
from gream.objectstore.settings import StoreSettings

pytestmark = pytest.mark.unit

GOOD = {"GREAM_S3_ENDPOINT": "http://127.0.0.1:8333/", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}


def test_the_usual_variables():
    settings = StoreSettings.from_environment({**GOOD, "AWS_SESSION_TOKEN": "t0k3n", "AWS_REGION": "eu-west-1"})
    assert (settings.endpoint, settings.host, settings.secure) == ("http://127.0.0.1:8333", "127.0.0.1:8333", False)
    assert (settings.access_key, settings.secret_key, settings.session_token) == ("id", "s3cr3t", "t0k3n")
    assert (settings.region, settings.retries) == ("eu-west-1", 5)


@pytest.mark.parametrize(
    ("endpoint", "region", "url", "signed_for"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "", "https://models.s3.eu-west-1.amazonaws.com/key", "eu-west-1"),
        (
            "https://s3.cn-north-1.amazonaws.com.cn",
            "",
            "https://models.s3.cn-north-1.amazonaws.com.cn/key",
            "cn-north-1",
        ),
        ("https://s3.amazonaws.com", "eu-west-1", "https://models.s3.eu-west-1.amazonaws.com/key", "eu-west-1"),
        ("https://s3.amazonaws.com", "", "https://s3.us-east-1.amazonaws.com/models?location=", "us-east-1"),
        ("https://amazonaws.com.example", "", "https://amazonaws.com.example/models/key", "us-east-1"),
        ("http://store:9000", "", "http://store:9000/models/key", "us-east-1"),
        ("http://store:9000", "mars-1", "http://store:9000/models/key", "mars-1"),
    ],
)
def test_an_amazon_host_says_its_region_unless_the_environment_does(monkeypatch, endpoint, region, url, signed_for):
    asked = []

    def urlopen(_pool, _method, url, headers, **_):
        asked.append((url, re.search(r"Credential=id/\d{8}/([\w-]+)/", headers["Authorization"])[1]))
        raise HTTPError("there is no network here")

    monkeypatch.setattr(PoolManager, "urlopen", urlopen)
    environment = {**GOOD, "GREAM_S3_ENDPOINT": endpoint, "AWS_REGION": region}
    with pytest.raises(StoreError, match="there is no network here"):
        Bucket("models", StoreSettings.from_environment(environment)).get("key")
    assert asked == [(url, signed_for)]


def test_keys_are_not_shown():
    shown = repr(StoreSettings.from_environment({**GOOD, "AWS_SESSION_TOKEN": "t0k3n"}))
    assert "s3cr3t" not in shown
    assert "t0k3n" not in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"GREAM_S3_ENDPOINT": " "}, "needs the environment variable GREAM_S3_ENDPOINT"),
        ({"GREAM_S3_ENDPOINT": "127.0.0.1:8333"}, "GREAM_S3_ENDPOINT must be http://HOST"),
        ({"GREAM_S3_ENDPOINT": "http://id:s3cr3t@store"}, "without keys or a path"),
        ({"GREAM_S3_ENDPOINT": "http://store/bucket"}, "without keys or a path"),
        ({"AWS_ACCESS_KEY_ID": ""}, "needs the environment variable AWS_ACCESS_KEY_ID, or GREAM_S3_SECRET"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "needs the environment variable AWS_SECRET_ACCESS_KEY"),
        ({"AWS_CA_BUNDLE": "/no/such.pem"}, "AWS_CA_BUNDLE names /no/such.pem, which is no file"),
        ({"GREAM_S3_RETRIES": "-1"}, "GREAM_S3_RETRIES = '-1' is not allowed; allowed are 0 to 20"),
        ({"GREAM_S3_RETRIES": "21"}, "allowed are 0 to 20"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        StoreSettings.from_environment({**GOOD, **change})
    assert "s3cr3t" not in str(caught.value)


def test_a_mounted_secret_stands_in_for_the_pair(tmp_path):
    (tmp_path / "accesskey").write_text("mounted\n")
    (tmp_path / "secretkey").write_text("m-s3cr3t\n")
    environment = {**GOOD, "AWS_SESSION_TOKEN": "of the other pair", "GREAM_S3_SECRET": str(tmp_path)}
    settings = StoreSettings.from_environment(environment)
    assert (settings.access_key, settings.secret_key, settings.session_token) == ("mounted", "m-s3cr3t", None)


def test_an_incomplete_secret_is_named(tmp_path):
    environment = {**GOOD, "GREAM_S3_SECRET": str(tmp_path)}
    (tmp_path / "accesskey").write_text("mounted")
    with pytest.raises(ConfigError, match=r"secretkey cannot be read \(No such file"):
        StoreSettings.from_environment(environment)
    (tmp_path / "secretkey").write_text("\n")
    with pytest.raises(ConfigError, match="secretkey is empty"):
        StoreSettings.from_environment(environment)
