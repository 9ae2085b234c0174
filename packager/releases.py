"""What ``deploy`` and ``plan`` are given: a package in a folder, or an image by its name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import TargetSettings
from packager.core.errors import ImageReferenceInvalid, UsageError
from packager.core.image import ImageRef
from packager.core.progress import Progress
from packager.core.protocols import HoldsImages, Target
from packager.image.contents import package_of_image
from packager.images import ImageOptions, image_archive
from packager.pack import open_package


def release_of(
    source: str | Path,
    target: Target[Any],
    settings: TargetSettings,
    progress: Progress,
    *,
    accept_unverified: bool,
    build: ImageOptions | None = None,
) -> Release:
    """What shall serve: a package, or an image and the package that it holds.

    Args:
        build: How an image is built of a package where the target takes images and keeps them itself; None builds none.

    Raises:
        UsageError: The target cannot take it.
        PackageError, ImageError: It cannot be read.
    """
    image = None if Path(source).exists() else _image_named(str(source))
    if image is None:
        package = open_package(_package_path(source), accept_unverified=accept_unverified)
        if build is None or not isinstance(target, HoldsImages):
            return Release(package)
        return Release(package, _built(package, target, settings, progress, build))
    if not target.takes_image:
        raise UsageError(
            f"{target.name!r} takes packages, not images: {str(source)!r}", hint="name the package's folder"
        )
    held = target.package_of(image, settings) if isinstance(target, HoldsImages) else None
    package, image = (held, image) if held else package_of_image(image, progress)
    return Release(open_package(package.root, accept_unverified=accept_unverified), image)


def _built(
    package: ModelPackage, target: HoldsImages[Any], settings: TargetSettings, progress: Progress, build: ImageOptions
) -> ImageRef:
    """The image of a package, in the target; what it has of the layers already is packed and sent all the same."""
    with image_archive(package, build, target.platform(settings), progress) as (built, archive):
        progress.step(f"loading {built.ref.repository}:{built.ref.tag}")
        target.load_image(archive, settings)
    return replace(built.ref, digest=None)


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
