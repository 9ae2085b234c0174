"""Images in the tests' engine: the runtime of this checkout and its wheels on the base, and one layer of a package."""

import gzip
import hashlib
import io
import json
import platform
import sysconfig
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from packager.core.artifact import ModelPackage, Release
from packager.core.image import ImageRef
from targets.docker import DockerTarget
from tests.support.base_image import ROOT

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class EngineImages:
    """Makes images of packages in an engine; what they share is loaded once.

    Attributes:
        layers: Of what they share, uncompressed.
    """

    client: Any
    layers: tuple[bytes, ...]

    def release(self, package: ModelPackage, **changed: Any) -> Release:
        """A release of a package with an image that the engine has."""
        tag = f"{package.manifest.version}-{package.digest[7:19]}"
        ref = ImageRef(None, f"dray-test/{package.manifest.name}", tag)
        self.load(str(ref), package.root, {"dray.package.digest": package.digest}, **changed)
        return Release(package, ref)

    def load(self, name: str, package: Path, labels: Mapping[str, str], **changed: Any) -> None:
        """Load an image under a name.

        Args:
            changed: Of the configuration: ``architecture``, ``Cmd`` and the like.
        """
        layers = [*self.layers, layer_of({"model": package})]
        config = {
            "architecture": changed.pop("architecture", ARCHITECTURES[platform.machine()]),
            "os": "linux",
            "config": {
                "User": "65532:65532",
                "Env": ["PATH=/usr/bin", "PYTHONPATH=/opt/dray", "PYTHONDONTWRITEBYTECODE=1"],
                "Entrypoint": ["/usr/bin/python3", "-P", "-m", "runtime"],
                "Labels": dict(labels),
                **changed,
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
        self.client.images.load(archive_of(name, config, layers, known=self._known()))

    def _known(self) -> set[str]:
        """Layers that the engine has: the archive of an image need not hold them again."""
        held = [image.attrs["RootFS"].get("Layers") or [] for image in self.client.images.list()]
        shared = [digest(layer) for layer in self.layers]
        return set(shared) if any(layers[: len(shared)] == shared for layers in held) else set()


@pytest.fixture(scope="session")
def shared_layers(base_layout: Path) -> tuple[bytes, ...]:
    """The base, and the wheels that the runtime needs with the runtime itself."""
    index = json.loads((base_layout / "index.json").read_bytes())
    manifests = _blob(base_layout, index["manifests"][0]["digest"])["manifests"]
    [entry] = [e for e in manifests if e["platform"]["architecture"] == ARCHITECTURES[platform.machine()]]
    [layer] = _blob(base_layout, entry["digest"])["layers"]
    packed = (base_layout / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")).read_bytes()
    return gzip.decompress(packed), layer_of({"opt/dray": None, **_modules(), "opt/dray/runtime": ROOT / "runtime"})


@dataclass(frozen=True, slots=True)
class ImagedDockerTarget(DockerTarget):
    """The real target, with a way to make the images that its tests deploy."""

    images: EngineImages | None = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def release_for_tests(self, package: ModelPackage) -> Release:
        assert self.images
        return self.images.release(package, **self.changed)


@pytest.fixture
def engine_images(engine: Any, shared_layers: tuple[bytes, ...]) -> EngineImages:
    return EngineImages(engine, shared_layers)


def archive_of(name: str, config: Mapping[str, Any], layers: list[bytes], known: set[str]) -> bytes:
    """What ``docker load`` takes."""
    content = json.dumps(config).encode()
    stream = io.BytesIO()
    names = [f"{digest(layer)[7:]}.tar" for layer in layers]
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": names}]
    files = {"config.json": content, "manifest.json": json.dumps(manifest).encode()}
    files |= {n: layer for n, layer in zip(names, layers, strict=True) if digest(layer) not in known}
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def layer_of(folders: Mapping[str, Path | None]) -> bytes:
    """A layer with these folders and files, read-only and root's."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        # Times stay: compiled modules hold those of their sources.
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644 | (member.mode & 0o111)
        return member

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, path in folders.items():
            if path is not None:
                tar.add(path, name, filter=plain)
    return stream.getvalue()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _modules() -> dict[str, Path]:
    """What the distributions of the extra ``runtime`` installed here, by where it goes."""
    site = Path(sysconfig.get_path("purelib"))
    tops = set()
    for name in _closure("dray[runtime]"):
        for file in metadata.files(name) or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not top.endswith(".pth"):
                tops.add(top)
    return {f"opt/dray/{top}": site / top for top in sorted(tops) if (site / top).exists()}


def _closure(root: str) -> set[str]:
    found: set[str] = set()
    waiting = [Requirement(root)]
    while waiting:
        requirement = waiting.pop()
        for text in metadata.requires(requirement.name) or ():
            inner = Requirement(text)
            extras = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in extras):
                wanted = requirement.name != "dray" or "extra" in str(inner.marker)
                if wanted and inner.name not in found:
                    found.add(inner.name)
                    waiting.append(inner)
    return found


def _blob(layout: Path, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((layout / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes())
    return document
