"""A model package becomes a container image: base, wheels, runtime, model; put together without running anything."""

import os
import platform as machine
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from packager.core.artifact import ModelPackage
from packager.core.credentials import Anonymous, CredentialSource
from packager.core.errors import ArchitectureMissing, ConfigurationError
from packager.core.evidence import simulated_on, unsimulated
from packager.core.image import INDEX, MANIFEST, PACKAGE_LABEL, BuiltImage, Descriptor, ImageRef, Layer, Platform
from packager.core.progress import Progress
from packager.image.base import DEFAULT_BASE, Base, fetch_base, read_base
from packager.image.blobs import CONFIG, as_json
from packager.image.layers import HOME, OWNER, WHEELS, LayerStore, compiler_release
from packager.image.registry_http import RegistrySettings
from packager.image.transfer import Layout
from packager.image.wheels import Wanted

# No name: a container needs none, and Kubernetes' runAsNonRoot wants a number.
USER: Final = f"{OWNER}:{OWNER}"
PORT: Final = 8080
_NANOSECONDS: Final = 1_000_000_000
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """What to build.

    Attributes:
        ref: What it is called.
        base: Path of a layout or an archive, or a reference.
        platforms: One makes an image, several make an index of images.
        wheelhouse: Folder of wheels that stands for the index.
        compiled: Whether Python modules are compiled.
        registry: How the base's registry is talked to.
        source: URL of what the image was made of, for its label.
    """

    ref: ImageRef
    base: str = DEFAULT_BASE
    platforms: tuple[Platform, ...] = ()
    wheelhouse: Path | None = None
    compiled: bool = True
    source: str | None = None
    credentials: CredentialSource = field(default_factory=Anonymous)
    registry: RegistrySettings = field(default_factory=RegistrySettings)


def build_layout(
    package: ModelPackage, request: ImageRequest, out: Path, *, cache: Path, progress: Progress
) -> BuiltImage:
    """Write an OCI layout of the image into an empty folder.

    Args:
        cache: Where bases and layers are kept between builds.

    Raises:
        ImageError: Of its family.
        NotWritable, DiskFull: Nothing usable is left.
    """
    store = LayerStore(cache / "layers", source_date_epoch())
    platforms = request.platforms or (native_platform(),)
    check_simulated(package, platforms)
    progress.step(f"reading the base {request.base}")
    source = fetch_base(
        request.base, platforms, cache / "bases", request.credentials, progress, settings=request.registry
    )
    bases = [read_base(source, request.base, each) for each in platforms]
    layout, layers, manifests = Layout(out), {}, []
    for base in bases:
        added = added_layers(package, request, base, store, progress)
        manifests.append(_write(layout, package, request, base, store, added))
        layers[base.platform] = (*base.layers, *added)
    top = manifests[0] if len(manifests) == 1 else index_of(layout, package, manifests)
    layout.name(top, request.ref.tag or "latest", ref=request.ref)
    blobs = {each.descriptor.digest: each.descriptor.size for found in layers.values() for each in found}
    ref = request.ref.with_digest(top.digest)
    plain = not all(base.python.onnxruntime for base in bases)
    return BuiltImage(ref, top.digest, platforms, sum(blobs.values()), layers, str(out), plain)


def check_simulated(package: ModelPackage, platforms: Sequence[Platform]) -> None:
    """Refuse a platform on which the package's circuit cannot be simulated: such an image would never be ready.

    Raises:
        ArchitectureMissing: Names it, and those that there are.
    """
    if absent := unsimulated(package, platforms):
        held = simulated_on(package)
        raise ArchitectureMissing(
            f"the circuit of {package.manifest.name!r} has no simulation for {', '.join(absent)}; it has"
            f" {', '.join(held) or 'none'}",
            hint="`dray package MODEL --circuit` on a machine of that platform makes one",
            detail={"absent": list(absent), "present": list(held)},
        )


def native_platform() -> Platform:
    """That of this machine."""
    return Platform.parse(machine.machine().lower())


def source_date_epoch() -> int:
    """``SOURCE_DATE_EPOCH``, else 0: no time of day is in an image.

    Raises:
        ConfigurationError: It is no whole number.
    """
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not text.isascii() or not text.isdigit():
        raise ConfigurationError(f"SOURCE_DATE_EPOCH is {text!r}", hint="seconds since 1970, as a whole number")
    return int(text)


def added_layers(
    package: ModelPackage, request: ImageRequest, base: Base, store: LayerStore, progress: Progress
) -> tuple[Layer, ...]:
    """What dray lays on a base: wheels, the runtime, the model.

    Raises:
        WheelsUnavailable, CompilerMissing: Of the wheels.
    """
    progress.step(f"wheels for {base.platform} and Python {base.python}")
    texts = package.manifest.preprocessing is not None
    python, own = base.python.version, base.python.onnxruntime
    if own:
        progress.detail(f"without onnxruntime: the base has one of its own, in {own}")
    wanted = Wanted(
        base.platform, python, texts, wheelhouse=request.wheelhouse, compiled=request.compiled, onnxruntime=not own
    )
    return store.wheels(wanted), store.runtime(python, compiled=request.compiled), store.model(package)


def _write(
    layout: Layout, package: ModelPackage, request: ImageRequest, base: Base, store: LayerStore, added: Sequence[Layer]
) -> Descriptor:
    for layer in base.layers:
        link(base.layout.blob_path(layer.descriptor.digest), layout.blob_path(layer.descriptor.digest))
    for layer in added:
        link(store.path(layer), layout.blob_path(layer.descriptor.digest))
    labels = labels_of(package, request, base)
    config = as_json(config_of(base, added, labels, epoch=store.epoch))
    descriptor = Descriptor(CONFIG, layout.put(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor.as_json(),
        "layers": [layer.descriptor.as_json() for layer in (*base.layers, *added)],
        "annotations": {**labels, "org.opencontainers.image.base.digest": base.digest},
    }
    content = as_json(document)
    return Descriptor(MANIFEST, layout.put(content), len(content), platform=base.platform)


def config_of(base: Base, added: Sequence[Layer], labels: Mapping[str, str], *, epoch: int) -> dict[str, Any]:
    """The configuration of the image: what runs, as whom, and what it answers to.

    Source: OCI image specification 1.1, ``config.md``; ``Healthcheck`` is Docker's, which the specification reserves.
    """
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    history = [
        *(base.config.get("history") or [{"comment": "base"} for _ in base.layers]),
        *({"created": created, "created_by": f"dray: {layer.name}"} for layer in added),
    ]
    return {
        **base.platform.as_json(),
        "created": created,
        "config": {
            "User": USER,
            "ExposedPorts": {f"{PORT}/tcp": {}},
            "Env": _environment(base),
            "Entrypoint": [base.python.path, "-P", "-m", "runtime"],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {**(base.config.get("config", {}).get("Labels") or {}), **labels},
            "Healthcheck": {
                "Test": ["CMD", base.python.path, "-P", "-m", "runtime.healthcheck"],
                "Interval": 10 * _NANOSECONDS,
                "Timeout": 5 * _NANOSECONDS,
                "StartPeriod": 60 * _NANOSECONDS,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in (*base.layers, *added)]},
        "history": history,
    }


def labels_of(package: ModelPackage, request: ImageRequest, base: Base) -> dict[str, str]:
    """What the image says of itself."""
    labels = {
        **package_labels(package),
        "dray.python": str(base.python),
        "dray.compiled": compiler_release(base.python.version) if request.compiled else "false",
        **({"dray.onnxruntime": "base"} if base.python.onnxruntime else {}),
    }
    return {**labels, "org.opencontainers.image.source": request.source} if request.source else labels


def package_labels(package: ModelPackage) -> dict[str, str]:
    """What any image of a package says of it."""
    manifest = package.manifest
    return {
        "org.opencontainers.image.title": manifest.name,
        "org.opencontainers.image.version": manifest.version,
        "org.opencontainers.image.description": f"the model {manifest.name} {manifest.version}, served by dray",
        PACKAGE_LABEL: package.digest,
        "dray.package.name": manifest.name,
        "dray.package.version": manifest.version,
        "dray.version": dray_version(),
    }


def dray_version() -> str:
    """Of the installed dray."""
    try:
        return version("dray")
    except PackageNotFoundError:
        return "0"


def _environment(base: Base) -> list[str]:
    own = {
        "PYTHONPATH": f"/{HOME}:/{WHEELS}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    given = dict(entry.partition("=")[::2] for entry in base.config.get("config", {}).get("Env") or ())
    return [f"{name}={value}" for name, value in sorted({"PATH": _PATH, **given, **own}.items())]


def index_of(layout: Layout, package: ModelPackage, manifests: Sequence[Descriptor]) -> Descriptor:
    """The index of an image for several platforms, written."""
    annotations = {
        "org.opencontainers.image.title": package.manifest.name,
        "org.opencontainers.image.version": package.manifest.version,
        PACKAGE_LABEL: package.digest,
    }
    document = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [each.as_json() for each in manifests],
        "annotations": annotations,
    }
    content = as_json(document)
    return Descriptor(INDEX, layout.put(content), len(content))


def link(source: Path, target: Path) -> None:
    """Put a blob into a layout, without a copy where the file system allows it."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
