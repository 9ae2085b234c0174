"""The parts of an image as registries have them: blobs, manifests, media types."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packager.core.image import INDEXES, Descriptor, Platform

CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
GZIP_LAYER: Final = f"{LAYER}+gzip"
EMPTY: Final = "application/vnd.oci.empty.v1+json"

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index, as its very bytes; ``descriptor`` has their digest."""

    descriptor: Descriptor
    content: bytes

    @property
    def document(self) -> Mapping[str, Any]:
        """Its JSON."""
        document: dict[str, Any] = json.loads(self.content)
        return document

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests, one a platform."""
        return self.descriptor.media_type in INDEXES


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that can be read again for every try."""

    digest: str
    size: int
    open: Callable[[], Iterator[bytes]]

    @classmethod
    def of_file(cls, path: Path, digest: str) -> "Blob":
        """The blob that a file holds."""
        return cls(digest, path.stat().st_size, lambda: _pieces(path))

    @classmethod
    def of_bytes(cls, content: bytes) -> "Blob":
        """The blob of these bytes."""
        return cls(digest_of(content), len(content), lambda: iter((content,)))


def digest_of(content: bytes) -> str:
    """``sha256:…`` of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_json(document: Mapping[str, Any]) -> bytes:
    """A document as the same bytes every time."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def descriptor_of(entry: Mapping[str, Any]) -> Descriptor:
    """The descriptor that an entry of a manifest or index is."""
    return Descriptor(
        str(entry.get("mediaType", "")),
        str(entry.get("digest", "")),
        int(entry.get("size", 0)),
        annotations=entry.get("annotations") or {},
        platform=Platform.of_json(entry["platform"]) if entry.get("platform") else None,
        artifact_type=entry.get("artifactType"),
    )


def chunks_of(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of ``size``, but for the last."""
    pending = bytearray()
    for piece in pieces:
        pending += piece
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


def file_digest(path: Path) -> str:
    """``sha256:…`` of a file."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece
