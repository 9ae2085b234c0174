"""From a package to an image that lies where it was asked for."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packager.core.artifact import ModelPackage
from packager.core.errors import UsageError
from packager.core.files import ensure_folder
from packager.core.image import BuiltImage, ImageRef
from packager.core.progress import Progress
from packager.image.build import ImageRequest, build_layout
from packager.image.outputs import archive, push, write_archive, write_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the image goes; all that is asked for.

    Attributes:
        output: A folder for an OCI layout, or a file that ends in ``.tar``.
        load: Takes the image as ``docker load`` reads it; None where no engine is meant.
        push: To the registry that the image's name says.
        kept: Where an image stays that goes nowhere else, as an OCI layout.
    """

    output: Path | None = None
    load: Callable[[Iterator[bytes]], None] | None = None
    push: bool = False
    kept: Path


@dataclass(frozen=True, slots=True)
class Made:
    """An image that is where it should be.

    Attributes:
        places: Where, for people.
        sent_bytes: That travelled to a registry; None where it was not pushed.
    """

    image: BuiltImage
    places: tuple[str, ...]
    sent_bytes: int | None = None


def make_image(
    package: ModelPackage, request: ImageRequest, destination: Destination, *, cache: Path, progress: Progress
) -> Made:
    """Build an image and bring it where it was asked for.

    Raises:
        ImageError: Of its family; nothing half-made is left under a name.
        UsageError: What was asked for does not go together.
    """
    if destination.push and request.ref.registry is None:
        raise UsageError(f"{request.ref} names no registry to push to", hint="give --tag registry.example/team/model:1")
    if destination.load is not None and len(request.platforms) > 1:
        raise UsageError(
            "an engine holds an image for one platform", hint="build for one --platform, or push, or write --output"
        )
    ensure_folder(cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".image-") as scratch:
        layout = Path(scratch) / "layout"
        layout.mkdir()
        built = build_layout(package, request, layout, cache=cache, progress=progress)
        return _bring(built, layout, request, destination, progress)


def default_ref(package: ModelPackage, registry: str | None = None) -> ImageRef:
    """``NAME:VERSION``, as far as images may be called that.

    Args:
        registry: And the folder in it, such as ``registry.example/team``.

    Raises:
        ImageReferenceInvalid: It is not a registry.
    """
    name, version = package.manifest.name.lower(), package.manifest.version.replace("+", "_")
    return ImageRef.parse(f"{registry.rstrip('/')}/{name}:{version}") if registry else ImageRef(None, name, version)


def _bring(
    built: BuiltImage,
    layout: Path,
    request: ImageRequest,
    destination: Destination,
    progress: Progress,
) -> Made:
    places: list[str] = []
    located = replace(built, location=None)
    if destination.output is not None:
        progress.step(f"writing {destination.output}")
        if destination.output.suffix == ".tar":
            write_archive(built, layout, destination.output)
        else:
            write_folder(layout, destination.output)
        located = replace(built, location=str(destination.output))
        places.append(str(destination.output))
    if destination.load is not None:
        progress.step("loading it into the engine")
        destination.load(archive(built, layout))
        places.append("the container engine")
    sent = None
    if destination.push:
        progress.step(f"pushing {request.ref}")
        sent = push(built, layout, request.credentials, progress).sent_bytes
        places.append(f"the registry {request.ref.host}")
    if not places:
        kept = destination.kept / built.digest.removeprefix("sha256:")[:24]
        if not kept.exists():
            write_folder(layout, kept)
        located = replace(built, location=str(kept))
        places.append(str(kept))
    return Made(located, tuple(places), sent)
