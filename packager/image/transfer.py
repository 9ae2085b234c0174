"""Images between OCI layouts and registries: what is missing travels, what names it comes last.

Source: github.com/opencontainers/image-spec, ``image-layout.md``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from packager.core.errors import ArchitectureMissing, ImageInvalid, ImageMissing
from packager.core.files import writing_to
from packager.core.image import INDEX, INDEXES, Descriptor, ImageRef, Platform
from packager.core.progress import Progress
from packager.image.blobs import Blob, Manifest, as_json, descriptor_of, digest_of, file_digest
from packager.image.registry import Registry

_LAYOUT_VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to.

    Attributes:
        ref: With tag and digest.
        sent_bytes: Of blobs and manifests, tries included.
        sent_blobs, kept_blobs: How many travelled, and how many the registry had or took from another repository.
    """

    ref: ImageRef
    sent_bytes: int
    sent_blobs: int
    kept_blobs: int


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI layout: a folder with blobs by digest and an index that names images."""

    path: Path

    def top(self, name: str | None = None) -> Descriptor:
        """The image of a name (``org.opencontainers.image.ref.name``), or the only one that there is.

        Raises:
            ImageMissing: There is none of the name, or several and no name.
            ImageInvalid: This is no layout.
        """
        entries = [descriptor_of(entry) for entry in self._listing().get("manifests") or ()]
        named = [each for each in entries if each.annotations.get("org.opencontainers.image.ref.name") == name]
        found = named or (entries if name is None else [])
        if len(found) != 1:
            what = f"no image {name!r}" if name else f"{len(entries)} images, and no name says which"
            raise ImageMissing(f"{str(self.path)!r} holds {what}", hint="name one that its index.json lists")
        return found[0]

    def manifest(self, descriptor: Descriptor) -> Manifest:
        """A manifest or index, its digest checked."""
        content = self._read(descriptor)
        document = _parsed(content, self.path)
        return Manifest(
            Descriptor(str(document.get("mediaType") or descriptor.media_type), descriptor.digest, len(content)),
            content,
        )

    def config(self, manifest: Manifest) -> Mapping[str, Any]:
        """The configuration of an image, its digest checked."""
        return _parsed(self._read(descriptor_of(manifest.document["config"])), self.path)

    def blob_path(self, digest: str) -> Path:
        """Where a blob lies, or would."""
        algorithm, _, encoded = digest.partition(":")
        return self.path / "blobs" / algorithm / encoded

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob lies here with the bytes of its digest."""
        path = self.blob_path(descriptor.digest)
        return path.is_file() and path.stat().st_size == descriptor.size and file_digest(path) == descriptor.digest

    def put(self, content: bytes) -> str:
        """Write a small blob, and say its digest."""
        digest = digest_of(content)
        path = self.blob_path(digest)
        with writing_to(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest

    def name(self, descriptor: Descriptor, name: str, *, ref: ImageRef | None = None) -> None:
        """Make the layout one of this image.

        Args:
            name: The tag; what OCI tools find it by.
            ref: Its whole name, which Podman and containerd give it; with the tag alone, Podman makes it an image "1".
        """
        annotations = {"org.opencontainers.image.ref.name": name}
        if ref is not None:
            annotations["io.containerd.image.name"] = str(replace(ref.full, tag=name, digest=None))
        entry = {**descriptor.as_json(), "annotations": annotations}
        with writing_to(self.path):
            (self.path / "oci-layout").write_bytes(as_json({"imageLayoutVersion": _LAYOUT_VERSION}))
            listing = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
            (self.path / "index.json").write_bytes(as_json(listing))

    def _read(self, descriptor: Descriptor) -> bytes:
        try:
            content = self.blob_path(descriptor.digest).read_bytes()
        except OSError as error:
            raise ImageInvalid(
                f"{str(self.path)!r} lacks {descriptor.digest}, which its index names", hint="copy or build it again"
            ) from error
        if digest_of(content) != descriptor.digest:
            raise ImageInvalid(
                f"{descriptor.digest} in {str(self.path)!r} has other bytes", hint="copy or build it again"
            )
        return content

    def _listing(self) -> Mapping[str, Any]:
        try:
            return _parsed((self.path / "index.json").read_bytes(), self.path)
        except OSError as error:
            raise ImageInvalid(f"{str(self.path)!r} is no OCI layout: no index.json", hint="name its folder") from error


def push_layout(
    layout: Path, ref: ImageRef, registry: Registry, progress: Progress, *, name: str | None = None,
    mount_from: str | None = None,
) -> Pushed:  # fmt: skip
    """Push an image with all its platforms: blobs, manifests, then the index or manifest under the tag.

    Args:
        mount_from: A repository of the registry that may have blobs of it, such as that of the base.

    Raises:
        PushDenied, RegistryError: Of the registry; the tag still means what it meant.
    """
    source, repository = Layout(layout), ref.path
    top = source.manifest(source.top(name))
    manifests = [source.manifest(each) for each in _children(top)] if top.is_index else []
    blobs = {each.digest: each for manifest in (*manifests, top) for each in _blobs(manifest)}
    sent = 0
    for number, descriptor in enumerate(blobs.values(), 1):
        sent += _push(registry, repository, source, descriptor, mount_from)
        progress.advance(number, len(blobs))
    for manifest in manifests:
        if registry.has_manifest(repository, manifest.descriptor.digest) is None:
            digest = manifest.descriptor.digest
            registry.put_manifest(repository, digest, manifest.content, manifest.descriptor.media_type)
    digest = top.descriptor.digest
    selector = ref.tag or digest
    if registry.has_manifest(repository, selector) != digest:
        registry.put_manifest(repository, selector, top.content, top.descriptor.media_type)
    return Pushed(ref.with_digest(digest), registry.sent_bytes, sent, len(blobs) - sent)


def pull_layout(
    ref: ImageRef, layout: Path, registry: Registry, progress: Progress, *, platforms: Sequence[Platform] = ()
) -> Descriptor:
    """Fetch an image to an OCI layout; blobs that lie there already are not fetched again.

    Args:
        platforms: Of a multi-platform image; all where none is given. The index is kept whole, for its digest.

    Raises:
        ImageMissing, PullDenied, RegistryError: Of the registry.
        ArchitectureMissing: It does not exist for a platform.
    """
    target, repository = Layout(layout), ref.path
    top = registry.manifest(repository, ref.selector)
    wanted = _chosen(top, platforms, ref) if top.is_index else []
    manifests = [registry.manifest(repository, each.digest) for each in wanted] if top.is_index else [top]
    blobs = {each.digest: each for manifest in manifests for each in _blobs(manifest)}
    for number, descriptor in enumerate(blobs.values(), 1):
        if not target.has(descriptor):
            registry.fetch_blob(repository, descriptor, target.blob_path(descriptor.digest))
        progress.advance(number, len(blobs))
    for manifest in (*manifests, top):
        target.put(manifest.content)
    target.name(top.descriptor, ref.tag or "latest", ref=ref)
    return top.descriptor


def _push(registry: Registry, repository: str, source: Layout, descriptor: Descriptor, mount_from: str | None) -> bool:
    path = source.blob_path(descriptor.digest)
    if not path.is_file():
        raise ImageInvalid(f"{str(source.path)!r} lacks {descriptor.digest}", hint="build or copy it again")
    origin = mount_from if mount_from != repository else None
    return registry.push_blob(repository, Blob.of_file(path, descriptor.digest), mount_from=origin)


def _children(index: Manifest) -> Iterator[Descriptor]:
    for entry in index.document.get("manifests") or ():
        yield descriptor_of(entry)


def _chosen(index: Manifest, platforms: Sequence[Platform], ref: ImageRef) -> list[Descriptor]:
    children = list(_children(index))
    if not platforms:
        return children
    found = []
    for platform in platforms:
        match = next((each for each in children if each.platform == platform), None)
        if match is None:
            there = ", ".join(str(each.platform) for each in children if each.platform) or "none"
            raise ArchitectureMissing(
                f"{ref} does not exist for {platform}, only: {there}", hint="--platform takes one of those"
            )
        found.append(match)
    return found


def _blobs(manifest: Manifest) -> Iterator[Descriptor]:
    """Configuration and layers of an image; nothing of an index."""
    if manifest.descriptor.media_type in INDEXES:
        return
    document = manifest.document
    for entry in (document.get("config"), *(document.get("layers") or ())):
        if entry:
            yield descriptor_of(entry)


def _parsed(content: bytes, path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise ImageInvalid(f"a manifest in {str(path)!r} is not JSON", hint="copy or build it again") from error
    if not isinstance(document, dict):
        raise ImageInvalid(f"a manifest in {str(path)!r} is not an object", hint="copy or build it again")
    return document
