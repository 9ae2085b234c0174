"""What ``deploy`` and ``plan`` are given: a package in a folder, or an image by its name."""

from pathlib import Path
from typing import Any

from packager.core.artifact import Release
from packager.core.deployment import TargetSettings
from packager.core.errors import ImageReferenceInvalid, UsageError
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.protocols import HoldsImages, Target
from packager.image.contents import package_of_image
from packager.pack import open_package


def release_of(
    source: str | Path, target: Target[Any], settings: TargetSettings, progress: Progress, *, accept_unverified: bool
) -> Release:
    """What shall serve: a package, or an image and the package that it holds.

    Raises:
        UsageError: The target cannot take it.
        PackageError, ImageError: It cannot be read.
    """
    image = None if Path(source).exists() else _image_named(str(source))
    if image is None:
        return Release(open_package(_package_path(source), accept_unverified=accept_unverified))
    if not target.takes_image:
        raise UsageError(
            f"{target.name!r} takes packages, not images: {str(source)!r}", hint="name the package's folder"
        )
    held = target.package_of(image, settings) if isinstance(target, HoldsImages) else None
    package, image = (held, image) if held else package_of_image(image, progress)
    return Release(open_package(package.root, accept_unverified=accept_unverified), image)


def _image_named(source: str) -> ImageRef | None:
    """The image that a source names: one with a registry, a tag or a digest; a bare word is a folder's name."""
    try:
        ref = ImageRef.parse(source)
    except ImageReferenceInvalid:
        return None
    return ref if ref.registry or ref.tag or ref.digest else None


def _package_path(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        raise UsageError(
            f"{str(path)!r} is a file, not a model package",
            hint=f"`dray ship {path}` packages and deploys a model; `dray package {path}` makes a package",
        )
    return path
