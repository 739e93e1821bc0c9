"""The part of a policy bundle that the API reads, packed for an API that runs on another machine than the engine."""

import base64
import io
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from gream.artifacts import MANIFEST, VERSION_DIGITS, content_digest, file_digest, open_artifact
from gream.errors import ArtifactError
from gream.policy.bundle import FACTS, INDEX, ITEMS, KIND

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


def is_sound(copy: Path) -> bool:
    """Whether a copy is there, and each of its files is what the bundle's manifest says: power may have failed."""
    try:
        files = open_artifact(copy, KIND)["files"]
    except ArtifactError:
        return False
    copied = {name: digest for name, digest in files.items() if Path(name).parts[0] in PARTS}
    return all((copy / name).is_file() and file_digest(copy / name) == digest for name, digest in copied.items())


def unpack(packed: str, copies: Path) -> Path:
    """Read what `pack` gave. Of the other copies there the newest stays: while replicas of an engine change to another
    policy one by one, both are asked for in turn.

    Args:
        packed: from `pack`.
        copies: folder of the copies.

    Returns:
        The copy's folder, named by the first digits of the bundle's digest; it appears complete.

    Raises:
        ArtifactError: what came is no bundle.
    """
    copies.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=copies, prefix=".partial-"))
    try:
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed))) as source:
            source.extractall(staging)
        copy = copies / content_digest(staging)[:VERSION_DIGITS]
        if not is_sound(copy):
            shutil.rmtree(copy, ignore_errors=True)
            staging.rename(copy)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    others = [other for other in copies.iterdir() if other != copy]
    complete = [other for other in others if not other.name.startswith(".")]
    newest = max(complete, key=lambda other: other.stat().st_mtime_ns, default=None)
    for other in others:
        if other != newest:
            shutil.rmtree(other)
    return copy
