"""Container images: their names as registries and engines write them, platforms, layers, and what was built.

Source: github.com/distribution/reference, the grammar in ``reference.go`` and the rules of ``normalize.go``; the OCI
image specification 1.1 (``descriptor.md``, ``image-index.md``).
"""

import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from packager.core.errors import ImageReferenceInvalid

_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MAX_REPOSITORY: Final = 255
DEFAULT_REGISTRY: Final = "docker.io"
DEFAULT_TAG: Final = "latest"
# How an image of dray says which package it holds, and where that lies.
PACKAGE_LABEL: Final = "dray.package.digest"
MODEL_FOLDER: Final = "model"
_OFFICIAL: Final = "library/"
# Media types of manifests and indexes, and what Docker called them before.
INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES: Final = frozenset({INDEX, DOCKER_INDEX})

# What ``uname -m``, Python and people say, by the name that images use. Source: the GOARCH names, and ``normalize`` in
# github.com/containerd/platforms.
_ARCHITECTURES: Final = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armv7l": "arm", "i386": "386",
}  # fmt: skip
_PLATFORM: Final = re.compile(
    r"(?:(?P<os>linux|windows|darwin|freebsd)/)?(?P<architecture>[a-z0-9_-]+)(?:/(?P<variant>v[0-9]+))?"
)


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image is: ``[registry/]repository[:tag][@digest]``.

    Attributes:
        registry: Host with optional port; None where the engine's default registry is meant.
        repository: Path in the registry, lower case.
    """

    registry: str | None
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "ImageRef":
        """The reference that ``text`` spells.

        Raises:
            ImageReferenceInvalid: It follows no rule of the grammar.
        """
        head, slash, rest = text.partition("/")
        registry = head if slash and _looks_like_host(head) else None
        image = _IMAGE.fullmatch(rest if registry else text)
        sound = image and len(image["repository"]) <= _MAX_REPOSITORY
        if not image or not sound or (registry and not _REGISTRY.fullmatch(registry)):
            raise ImageReferenceInvalid(
                f"not an image reference: {text!r}", hint="write it as registry.example/team/model:tag"
            )
        return cls(registry, image["repository"], image["tag"], image["digest"])

    def __str__(self) -> str:
        registry = f"{self.registry}/" if self.registry else ""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{registry}{self.repository}{tag}{digest}"

    @property
    def pinned(self) -> bool:
        """True when the reference names one image for ever."""
        return self.digest is not None

    @property
    def host(self) -> str:
        """The registry, Docker's default where none is named."""
        return DEFAULT_REGISTRY if self.registry in (None, "index.docker.io") else str(self.registry)

    @property
    def path(self) -> str:
        """The repository as its registry knows it: one word of the default registry is an official image."""
        official = self.host == DEFAULT_REGISTRY and "/" not in self.repository
        return f"{_OFFICIAL}{self.repository}" if official else self.repository

    @property
    def selector(self) -> str:
        """What is asked for in the repository: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    @property
    def full(self) -> "ImageRef":
        """The same image with nothing left to a default."""
        tag = self.tag or (None if self.digest else DEFAULT_TAG)
        return ImageRef(self.host, self.path, tag, self.digest)

    def with_digest(self, digest: str) -> "ImageRef":
        """The same image, pinned."""
        return replace(self, digest=digest)


def _platform(system: str, named: str, variant: str | None) -> "Platform":
    """Every arm64 is v8: containerd leaves that out, and so do registries' indexes, mostly."""
    architecture = _ARCHITECTURES.get(named, named)
    return Platform(system, architecture, None if (architecture, variant) == ("arm64", "v8") else variant)


def _looks_like_host(text: str) -> bool:
    """The first part names a registry only if it could not be a folder of the default one."""
    return "." in text or ":" in text or text == "localhost" or text.lower() != text


@dataclass(frozen=True, slots=True)
class Platform:
    """What an image runs on, in the words of the OCI specification.

    Attributes:
        architecture: ``amd64``, ``arm64`` …
        variant: ``v8`` and the like; None says nothing. arm64 is v8 whether it says so or not.
    """

    os: str = "linux"
    architecture: str = "amd64"
    variant: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """The platform that ``linux/arm64``, ``arm64`` or ``linux/arm/v7`` spells.

        Raises:
            ImageReferenceInvalid: It does not look like one.
        """
        found = _PLATFORM.fullmatch(text.strip().lower())
        if not found:
            raise ImageReferenceInvalid(f"not a platform: {text!r}", hint="write it as linux/amd64 or linux/arm64")
        return _platform(found["os"] or "linux", found["architecture"], found["variant"])

    @classmethod
    def here(cls) -> "Platform":
        """This machine's own, for what it runs without a container."""
        return cls.parse(f"{sys.platform}/{platform.machine()}")

    @classmethod
    def of_json(cls, document: Mapping[str, Any]) -> "Platform":
        """The platform of an index entry or an image's configuration, which spell it alike."""
        return _platform(
            str(document.get("os") or "linux"),
            str(document.get("architecture") or "unknown"),
            str(document["variant"]) if document.get("variant") else None,
        )

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def as_json(self) -> dict[str, str]:
        """As an index entry has it."""
        variant = {"variant": self.variant} if self.variant else {}
        return {"architecture": self.architecture, "os": self.os, **variant}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob of an image by its content: a manifest, a configuration, a layer as it travels, an artifact.

    Attributes:
        digest: ``sha256:…`` of the bytes.
        size: In bytes.
        platform: Of a manifest in an index.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None
    artifact_type: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As manifests and indexes have it."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            document["platform"] = self.platform.as_json()
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        return document


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        name: What it is for: ``base``, ``wheels``, ``runtime``, ``model``.
        descriptor: Of the compressed blob, as it travels.
        diff_id: ``sha256:…`` of the uncompressed archive.
        unpacked_bytes: Size of that archive; None where nobody unpacked it.
    """

    name: str
    descriptor: Descriptor
    diff_id: str
    unpacked_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that is there: in a folder, a file, an engine or a registry.

    Attributes:
        ref: Its name, with the digest.
        digest: Of the index where there are several platforms, else of the manifest.
        size_bytes: What travels, over all platforms, each blob once.
        layers: By platform, bottom first.
        location: Path of a layout or an archive; None where it is in an engine or a registry.
        plain: Whether its ONNX Runtime is the one that dray locks, which computes on CPUs alone.
    """

    ref: ImageRef
    digest: str
    platforms: tuple[Platform, ...]
    size_bytes: int
    layers: Mapping[Platform, tuple[Layer, ...]]
    location: str | None = None
    plain: bool = True
