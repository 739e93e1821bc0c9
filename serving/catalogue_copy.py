"""The part of a policy bundle that the API reads, packed for an API that runs on another machine than the engine."""

import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from gream.artifacts import MANIFEST, content_digest
from gream.errors import ArtifactError
from gream.policy.bundle import FACTS, INDEX, ITEMS

PARTS: Final = (MANIFEST, FACTS, ITEMS, INDEX, "README.md")
"""No weights, no tokenizer: megabytes, where the bundle has gigabytes."""


def pack(bundle: Path, archive: Path) -> None:
    """Write the parts of a bundle into a zip file."""
    with zipfile.ZipFile(archive, "w") as target:
        for part in PARTS:
            files = [bundle / part] if (bundle / part).is_file() else sorted((bundle / part).rglob("*"))
            for file in files:
                target.write(file, file.relative_to(bundle))


def unpack(archive: Path, folder: Path) -> None:
    """Read what `pack` wrote; the folder appears complete, and its neighbours, copies of other policies, go.

    Args:
        archive: the zip file.
        folder: is made; its name is the first digits of the digest that the bundle must have.

    Raises:
        ArtifactError: it is another policy's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        with zipfile.ZipFile(archive) as source:
            source.extractall(staging)
        found = content_digest(staging)
        if not found.startswith(folder.name):
            raise ArtifactError(f"the engine gave the catalogue of policy {found[:12]}, not of {folder.name}.")
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
