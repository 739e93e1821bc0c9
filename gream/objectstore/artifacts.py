"""Publish an artifact folder to an S3 store, and fetch it from there.

Publishing. Every file goes under a prefix that is named by the artifact's content, the manifest as the last of them,
and only then the pointer moves: a reader takes the old version or the new one, never half of either. What an earlier,
killed attempt has uploaded is recognised by size and noted SHA-256 and skipped, file by file. A version that is
complete already is read back instead, and what is damaged goes up again.

Fetching. The files come into a temporary folder and are checked against the manifest, and the manifest against the
digest in the URI or pointer; then the folder is renamed into the cache. So what a caller gets is what was published.

Left out: going on in the middle of a file that was being uploaded. Its parts stay with the server; a lifecycle rule of
the bucket (abort incomplete multipart uploads) clears them away. Nor are old versions deleted, here or in the cache.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError
from tqdm import tqdm

from gream.artifacts import MANIFEST, VERSION_DIGITS, content_digest, verify_artifact
from gream.errors import ArtifactError, StoreError
from gream.objectstore.bucket import Bucket
from gream.objectstore.pointer import Pointer
from gream.objectstore.uri import ArtifactUri

PARALLEL_FILES: Final = 4

Job = TypeVar("Job")


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is not inside the artifact")
    return name


class _Manifest(BaseModel):
    """What is needed of a manifest; its other entries are facts for others."""

    kind: str
    files: dict[Annotated[str, AfterValidator(_inside)], str]

    @classmethod
    def parse(cls, content: bytes, origin: str) -> "_Manifest":
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ArtifactError(f"{origin}/{MANIFEST} is not the manifest of an artifact: {reason}.") from error


def publish_artifact(folder: Path, uri: str) -> str:
    """Upload an artifact and let the pointer at `uri` name it.

    Args:
        folder: a complete artifact (`gream.artifacts`); files that its manifest does not name stay here.
        uri: `s3://bucket/prefix`; the bucket exists.

    Returns:
        The version: the digest of the artifact's content.

    Raises:
        ConfigError: the URI or the environment does not fit.
        ArtifactError: the folder is not a sound artifact.
        StoreError: the store does not answer or refuses. The same call goes on from there.
    """
    digest = upload_artifact(folder, uri)
    Pointer(uri).set(digest)
    return digest


def upload_artifact(folder: Path, uri: str) -> str:
    """Upload an artifact as a version that no pointer names yet, for `Pointer.move` or `uri@digest`.

    Arguments, result and errors are those of `publish_artifact`.
    """
    place = ArtifactUri.parse_unpinned(uri)
    files = _sound_files(folder)
    digest = content_digest(folder)
    bucket = Bucket.from_environment(place.bucket)
    # Wrong keys or a missing bucket show here, before anything is written.
    complete = bucket.get(f"{place.version_prefix(digest)}/{MANIFEST}") is not None
    total = sum((folder / name).stat().st_size for name in files)
    with tqdm(total=total, desc=f"upload {digest[:VERSION_DIGITS]}", unit="B", unit_scale=True) as bar:

        def upload(name: str) -> None:
            file, key = folder / name, f"{place.version_prefix(digest)}/{name}"
            size = file.stat().st_size
            # What is complete may be published again because a reader has called it damaged.
            if bucket.holds(key, size, files[name]) and (not complete or _reads_as(bucket, key, files[name])):
                bar.update(size)
            else:
                bucket.upload(key, file, files[name], bar.update)

        in_parallel(upload, files)
    bucket.put(f"{place.version_prefix(digest)}/{MANIFEST}", (folder / MANIFEST).read_bytes())
    return digest


def _reads_as(bucket: Bucket, key: str, digest: str) -> bool:
    """Whether an object can be read, and is what it should be; a store that is away will say so again."""
    try:
        return bucket.checksum(key) == digest
    except StoreError:
        return False


def artifact_version(uri: str) -> str:
    """The version that a URI means: the one that it pins, else the one that the pointer names (one small request).

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: nothing is published there, or the store does not answer or refuses.
    """
    place = ArtifactUri.parse(uri)
    if place.digest is not None:
        return place.digest
    publication = Pointer(uri).read()
    if publication is None:
        raise StoreError(f"Nothing is published at {place}.")
    return publication.digest


def fetch_artifact(uri: str, cache: Path) -> Path:
    """The folder of a published artifact, downloaded unless the cache has it.

    Args:
        uri: `s3://bucket/prefix`, or `s3://bucket/prefix@digest` for one version.
        cache: folder that keeps versions by digest; processes may share it.

    Returns:
        `cache/digest`, every file checked against its SHA-256. Others may use it too: read it, never write into it.

    Raises:
        ConfigError: the URI or the environment does not fit.
        StoreError: nothing is published there, or the store does not answer or refuses.
        ArtifactError: what is stored is incomplete or damaged.
    """
    return _fetch(uri, cache, _is_sound)


def fetch_parts(uri: str, parts: Sequence[str], cache: Path) -> Path:
    """Some files of a published artifact, for readers that can do without the rest.

    Args:
        uri: see `fetch_artifact`.
        parts: files and folders at the artifact's top.
        cache: folder that keeps what was fetched, by digest; always give it the same parts.

    Returns:
        `cache/digest`, every file checked when it came. It is no complete artifact.

    Raises:
        As `fetch_artifact`.
    """
    return _fetch(uri, cache, Path.is_dir, parts)


def _fetch(uri: str, cache: Path, is_there: Callable[[Path], bool], parts: Sequence[str] = ()) -> Path:
    """`cache/digest`, downloaded into a folder beside it unless it is there; with `parts`, those alone."""
    digest = artifact_version(uri)
    target = cache / digest
    if is_there(target):
        return target
    cache.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=cache, prefix=f".{digest[:VERSION_DIGITS]}.partial-"))
    try:
        _download(ArtifactUri.parse(uri), digest, staging, parts)
        staging.chmod(0o755)
        try:
            staging.rename(target)
        except OSError:
            if not is_there(target):  # Else another process has fetched it meanwhile.
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _download(place: ArtifactUri, digest: str, staging: Path, parts: Sequence[str] = ()) -> None:
    """Fetch a version's files into a folder; with `parts`, those below them alone."""
    bucket, version = Bucket.from_environment(place.bucket), place.version_prefix(digest)
    manifest = bucket.get(f"{version}/{MANIFEST}")
    if manifest is None and place.digest is None:
        raise ArtifactError(f"{place} is damaged: it has no complete version {digest}, which its pointer names.")
    if manifest is None:
        raise StoreError(f"{place} has no complete version {digest}.")
    (staging / MANIFEST).write_bytes(manifest.content)
    named = _Manifest.parse(manifest.content, bucket.place(version)).files
    files = {name: sha for name, sha in named.items() if not parts or name.split("/")[0] in parts}
    if content_digest(staging) != digest:
        raise ArtifactError(f"{bucket.place(version)}/{MANIFEST} is damaged: it is not that of version {digest}.")
    sizes = bucket.sizes(version)
    for name in files:
        if f"{version}/{name}" not in sizes:
            raise ArtifactError(f"{bucket.place(version)}/{name} is missing from the store; publish it again.")
    total = sum(sizes[f"{version}/{name}"] for name in files)
    with tqdm(total=total, desc=f"fetch {digest[:VERSION_DIGITS]}", unit="B", unit_scale=True) as bar:

        def download(name: str) -> None:
            file, key = staging / name, f"{version}/{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            if bucket.download(key, file, bar.update) != files[name]:
                raise ArtifactError(
                    f"{bucket.place(key)} is damaged: its SHA-256 is not the one in its manifest; publish it again."
                )

        in_parallel(download, files)


def _sound_files(folder: Path) -> dict[str, str]:
    """Names and SHA-256 of a local artifact's files, checked.

    Raises:
        ArtifactError: it is not complete, or damaged.
    """
    if not (folder / MANIFEST).is_file():
        raise ArtifactError(f"{folder} is not a complete artifact: it has no {MANIFEST}.")
    manifest = _Manifest.parse((folder / MANIFEST).read_bytes(), str(folder))
    verify_artifact(folder, manifest.kind)
    return manifest.files


def _is_sound(folder: Path) -> bool:
    """Whether a version stands in the cache at `folder`; a damaged one is removed."""
    if not folder.exists():
        return False
    try:
        _sound_files(folder)
        sound = content_digest(folder) == folder.name
    except ArtifactError:
        sound = False
    if not sound:
        shutil.rmtree(folder)
    return sound


def in_parallel(work: Callable[[Job], None], jobs: Iterable[Job]) -> None:
    """Do all jobs, `PARALLEL_FILES` at a time; the first failure cancels what has not begun, and is raised."""
    with ThreadPoolExecutor(PARALLEL_FILES) as pool:
        futures = [pool.submit(work, job) for job in jobs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
