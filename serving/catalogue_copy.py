"""The part of a policy bundle that the API reads, packed for an API that runs on another machine than the engine."""

import base64
import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from gream.artifacts import MANIFEST, VERSION_DIGITS, content_digest
from gream.errors import ArtifactError
from gream.policy.bundle import FACTS, INDEX, ITEMS

PARTS: Final = (MANIFEST, FACTS, ITEMS, INDEX, "README.md")
"""No weights, no tokenizer: megabytes, where the bundle has gigabytes."""


def pack(bundle: Path) -> str:
    """The parts of a bundle as a zip file in base64: BentoML's client would want Pillow to take a file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for part in PARTS:
            files = [bundle / part] if (bundle / part).is_file() else sorted((bundle / part).rglob("*"))
            for file in files:
                target.write(file, file.relative_to(bundle))
    return base64.b64encode(archive.getbuffer()).decode()


def unpack(packed: str, folder: Path) -> None:
    """Read what `pack` gave; the folder appears complete, and its neighbours, copies of other policies, go.

    Args:
        packed: from `pack`.
        folder: is made; its name is the first digits of the digest that the bundle must have.

    Raises:
        ArtifactError: it is another policy's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".partial-"))
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as source:
            source.extractall(staging)
        found = content_digest(staging)
        if not found.startswith(folder.name):
            raise ArtifactError(
                f"the engine gave the catalogue of policy {found[:VERSION_DIGITS]}, not of {folder.name}."
            )
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other)
