"""The server against its own OpenAPI document: hundreds of made-up requests, of which some fit it and some do not."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def test_the_server_keeps_to_its_document(server, tmp_path):
    program = Path(sys.executable).with_name("schemathesis")
    options = ["--max-examples", "15", "--seed", "0", "--no-color"]
    run = subprocess.run(
        [str(program), "run", f"{server.url}/openapi.json", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout
    assert "11 selected / 11 total" in run.stdout
