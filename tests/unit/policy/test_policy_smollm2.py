"""Several processes that want the converted backbone at once get one, made once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gream.artifacts import atomic_folder, verify_artifact
from gream.policy import smollm2

pytestmark = pytest.mark.unit


def test_of_processes_that_come_at_once_one_converts_and_the_others_wait(tmp_path, monkeypatch):
    conversions, both = [], threading.Barrier(2)

    def convert(gguf, folder):
        conversions.append(folder)
        with atomic_folder(folder, smollm2.KIND) as staging:
            time.sleep(0.1)  # The other comes meanwhile.
            (staging / "weights").write_text("many")

    monkeypatch.setattr(smollm2, "_convert", convert)
    monkeypatch.setattr(smollm2, "_gguf_path", lambda: Path("no.gguf"))

    def ask(_):
        both.wait()
        return smollm2.smollm2_folder(tmp_path)

    with ThreadPoolExecutor(2) as threads:
        folders = set(threads.map(ask, range(2)))
    assert folders == set(conversions) == {tmp_path / "smollm2-135m-instruct"}
    assert len(conversions) == 1
    verify_artifact(folders.pop(), smollm2.KIND)
