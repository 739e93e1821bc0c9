"""Policies that are nothing but a file and a manifest: promotion looks at no more."""

import pytest

from gream.artifacts import atomic_folder


@pytest.fixture
def bundle(tmp_path):
    """The folder of a bundle; equal names have equal contents."""

    def bundle(name):
        with atomic_folder(tmp_path / "bundles" / name, "policy") as folder:
            (folder / "weights").write_text(name)
        return tmp_path / "bundles" / name

    return bundle
