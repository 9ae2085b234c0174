"""Images in the registry of a stand-in, as its runners take them: one platform's, every digest checked."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packager.core.archives import tar_of
from packager.core.image import INDEXES, ImageRef, Platform
from targets.rehearsal.blobs import BlobStore, StoredManifest, digest_of, file_digest, is_digest
from targets.rehearsal.workload import PullRefused


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image for one platform.

    Attributes:
        digest: That it was asked for by, or that its tag means now: of the index, where there is one.
        config: As the image specification has it.
        layers: Digests, bottom first.
    """

    digest: str
    config: Mapping[str, Any]
    config_digest: str
    layers: tuple[str, ...]
    store: BlobStore

    @property
    def platform(self) -> Platform:
        """What it was built for."""
        return Platform.of_json(self.config)

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self._run.get("Labels") or {}

    @property
    def command(self) -> tuple[str, ...]:
        """What it runs where nobody says otherwise."""
        return (*(self._run.get("Entrypoint") or ()), *(self._run.get("Cmd") or ()))

    @property
    def environment(self) -> Mapping[str, str]:
        """What it sets."""
        pairs = (str(entry).partition("=") for entry in self._run.get("Env") or ())
        return {name: value for name, _, value in pairs}

    @property
    def _run(self) -> Mapping[str, Any]:
        return self.config.get("config") or {}

    def check_layers(self) -> None:
        """Read every layer once.

        Raises:
            PullRefused: One is damaged or gone.
        """
        for digest in self.layers:
            with _opened(self.store, digest) as stream:
                found = file_digest(stream)
            if found != digest:
                raise PullRefused("unreachable", f"layer {digest} has other bytes: {found}")

    def archive(self, name: str) -> Iterator[bytes]:
        """It in the form that ``docker load`` reads, under a name."""
        config = f"{self.config_digest.removeprefix('sha256:')}.json"
        layers = [f"{digest.removeprefix('sha256:')}.tar" for digest in self.layers]
        saved = [{"Config": config, "RepoTags": [name], "Layers": layers}]
        files: dict[str, Path | bytes] = {"manifest.json": json.dumps(saved).encode()}
        files[config] = self.store.path(self.config_digest)
        files |= {member: self.store.path(digest) for member, digest in zip(layers, self.layers, strict=True)}
        yield from tar_of(files)


def find_image(store: BlobStore, ref: ImageRef, platform: Platform | None) -> StoredImage:
    """The image of a reference.

    Args:
        platform: That of an index is taken; None is the first.

    Raises:
        PullRefused: There is none, none for the platform, or it is damaged.
    """
    top = _manifest(store, ref.path, ref.selector)
    manifest = _of_platform(store, ref, top, platform) if top.media_type in INDEXES else top
    document = _document(manifest.content)
    try:
        config_digest = str(document["config"]["digest"])
        layers = tuple(str(layer["digest"]) for layer in document["layers"])
    except (KeyError, TypeError) as error:
        raise PullRefused("missing", f"{ref} is no image") from error
    config = _document(_bytes(store, config_digest))
    return StoredImage(top.digest, config, config_digest, layers, store)


def _of_platform(store: BlobStore, ref: ImageRef, top: StoredManifest, platform: Platform | None) -> StoredManifest:
    entries = [entry for entry in _document(top.content).get("manifests") or () if _runs(entry)]
    there = {Platform.of_json(entry["platform"]): str(entry["digest"]) for entry in reversed(entries)}
    digest = next(iter(reversed(there.values())), None) if platform is None else there.get(platform)
    if digest is None:
        # In the words of containerd, which pulls for the clouds.
        asked = platform or "any platform"
        raise PullRefused("missing", f"no match for platform in manifest: {ref} does not exist for {asked}: not found")
    return _manifest(store, ref.path, digest)


def _runs(entry: Mapping[str, Any]) -> bool:
    """Whether it is an image, and not something that is attached to one."""
    return (entry.get("platform") or {}).get("os") not in (None, "unknown")


def _manifest(store: BlobStore, repository: str, selector: str) -> StoredManifest:
    found = store.manifest(repository, selector)
    if found is None:
        raise PullRefused("missing", f"manifest for {repository}:{selector} not found: manifest unknown")
    if digest_of(found.content) != found.digest:
        raise PullRefused("unreachable", f"the manifest {found.digest} has other bytes")
    return found


def _bytes(store: BlobStore, digest: str) -> bytes:
    if not is_digest(digest):
        raise PullRefused("unreachable", f"the image names a blob {digest!r}, which is no SHA-256 digest")
    with _opened(store, digest) as stream:
        content = stream.read()
    if digest_of(content) != digest:
        raise PullRefused("unreachable", f"the blob {digest} has other bytes")
    return content


def _opened(store: BlobStore, digest: str) -> io.BufferedReader:
    try:
        return store.path(digest).open("rb")
    except OSError as error:
        raise PullRefused("unreachable", f"the blob {digest} cannot be read: {error.strerror}") from error


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise PullRefused("unreachable", "the image has a document that is not JSON") from error
    return document if isinstance(document, dict) else {}
