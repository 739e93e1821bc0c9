"""`gream doctor --store` against a real server: what it leaves is nothing."""

import pytest
from click.testing import CliRunner

from gream.cli import main

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KFP_ENDPOINT", raising=False)


def line_of_the_store(*arguments):
    result = CliRunner().invoke(main, ["doctor", *arguments], catch_exceptions=False)
    lines = result.output.splitlines()
    (place,) = [number for number, line in enumerate(lines) if line[2:].startswith("store")]
    return result.exit_code, lines[place : place + 2]


def test_writable_store(bucket, keys):
    code, (line, _) = line_of_the_store("--store", f"s3://{bucket}/workspace")
    assert (code, line) == (0, f"+ store        s3://{bucket}/workspace takes, gives and keeps two writers apart.")
    assert keys() == []


def test_missing_bucket_and_wrong_keys_say_what_to_do(bucket, monkeypatch):
    code, (line, remedy) = line_of_the_store("--store", "s3://no-such-bucket/workspace")
    assert (code, line[0]) == (1, "!")
    assert "no-such-bucket" in line
    assert "-> set GREAM_S3_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and create the bucket." in remedy
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    code, (line, _) = line_of_the_store("--store", f"s3://{bucket}/workspace")
    assert (code, line[0]) == (1, "!")
    assert "wrong" not in line
