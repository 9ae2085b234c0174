"""The image of a release in an engine: found, pulled, judged; and the package that an image holds."""

import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packager.core.artifact import ModelPackage, Release
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import Finding, Findings
from packager.core.errors import (
    ArchitectureMissing,
    DrayError,
    ImageError,
    ImageMissing,
    ImageUnfaithful,
    PackageError,
)
from packager.core.files import ensure_folder
from packager.core.image import MODEL_FOLDER, PACKAGE_LABEL, ImageRef
from packager.core.progress import Progress
from packager.core.state import cache_home
from runtime.contract.package import read_package
from targets.docker import body
from targets.kit.engine.containers import Container, ContainerEngine, EngineFacts, EngineImage
from targets.kit.images import required_image
from targets.kit.packages import kept_package, place_of

_MODEL: Final = f"/{MODEL_FOLDER}"


def find_image(engine: ContainerEngine, release: Release, known: Iterable[Container | None] = ()) -> EngineImage | None:
    """The image, where the engine has it already.

    Args:
        known: Containers of the deployment: one that runs this very release tells which image a tag meant then.
    """
    ref = required_image(release)
    for container in known:
        labels = container.labels if container else {}
        if container and (labels.get(body.IMAGE), labels.get(body.PACKAGE)) == (str(ref), release.package.digest):
            return engine.image(container.image_id)
    if found := _named(engine, ref):
        return found
    # An image that was loaded, not pulled, has no digest in the engine: its tag leads to it, its label proves it.
    tagged = engine.image(str(ImageRef(ref.registry, ref.repository, ref.tag))) if ref.tag else None
    return tagged if tagged and tagged.labels.get(PACKAGE_LABEL) == release.package.digest else None


def ensure_image(
    engine: ContainerEngine, release: Release, known: Iterable[Container | None], progress: Progress
) -> EngineImage:
    """The image in the engine, pulled where it is not there, with the package and for the processor that are meant.

    Raises:
        ImageMissing, PullDenied, RegistryError: It cannot be pulled.
        ArchitectureMissing, ImageUnfaithful: It is not the right one.
    """
    ref = required_image(release)
    image = find_image(engine, release, known)
    if image is None:
        engine.pull(ref, registry_credentials().credential(ref.host), progress)
        image = _named(engine, ref)
    if image is None:
        raise ImageMissing(f"the engine pulled {ref} and does not have it", hint="docker images shows what it has")
    check_image(image, release, engine.facts())
    return image


def _named(engine: ContainerEngine, ref: ImageRef) -> EngineImage | None:
    """By its digest where it has one: engines differ in what a tag beside it means to them."""
    exact = ImageRef(ref.registry, ref.repository, None, ref.digest) if ref.digest else ref
    return engine.image(str(exact))


def name_in_engine(engine: ContainerEngine, release: Release, image: EngineImage) -> str:
    """The release's reference where that leads to the image, so that `docker ps` shows it; else the image's id."""
    named = _named(engine, required_image(release))
    return str(release.image) if named and named.id == image.id else image.id


def check_image(image: EngineImage, release: Release, facts: EngineFacts) -> None:
    """Refuse an image for another processor, or with another package.

    Raises:
        ArchitectureMissing, ImageUnfaithful: Naming what it is and what it should be.
    """
    if image.platform != facts.platform:
        raise ArchitectureMissing(
            f"{release.image} is for {image.platform}, the engine runs {facts.platform}",
            hint=f"dray image PACKAGE --platform {facts.platform}",
            detail={"image": str(image.platform), "engine": str(facts.platform)},
        )
    claimed = image.labels.get(PACKAGE_LABEL)
    if claimed and claimed != release.package.digest:
        raise ImageUnfaithful(
            f"{release.image} holds package {claimed[:19]}, the release is {release.package.digest[:19]}",
            hint="somebody moved the tag; build the image again, or name it by its digest",
            detail={"image": claimed, "package": release.package.digest},
        )


def image_findings(engine: ContainerEngine, release: Release, known: Iterable[Container | None]) -> Findings:
    """What stands in the way of running the image here, found without pulling it."""
    ref, facts = required_image(release), engine.facts()
    try:
        if not release.built_for and (image := find_image(engine, release, known)):
            check_image(image, release, facts)
            return ()
        platforms = release.built_for or engine.registry_platforms(ref, registry_credentials().credential(ref.host))
    except (ImageError, DrayError) as error:
        return (Finding.of_error(error),)
    if facts.platform in platforms:
        return ()
    there = ", ".join(map(str, platforms)) or "none"
    return (
        Finding(
            ArchitectureMissing.code,
            f"{ref} does not exist for {facts.platform}, which the engine runs, only: {there}",
            hint=f"dray image PACKAGE --platform {facts.platform} --push",
            blocking=True,
        ),
    )


def package_in(engine: ContainerEngine, container: Container) -> ModelPackage:
    """The package that a container holds, copied out of it where we have no copy, every digest checked.

    Raises:
        ImageUnfaithful: It is not the one that the labels say.
    """
    digest = container.labels[body.PACKAGE]
    if path := kept_package(digest):
        return read_package(path)
    package = _copied_out(engine, container)
    if package.digest != digest:
        raise ImageUnfaithful(f"{container.name} holds package {package.digest}, not {digest}", hint="deploy another")
    return package


def package_of(engine: ContainerEngine, ref: ImageRef) -> ModelPackage | None:
    """The package of an image that the engine holds, by a container of it that never runs; None where it holds none."""
    image = _named(engine, ref)
    if image is None:
        return None
    if (claimed := image.labels.get(PACKAGE_LABEL)) and (path := kept_package(claimed)):
        return read_package(path)
    container = engine.create(f"dray.reading-{secrets.token_hex(6)}", {"Image": image.id})
    try:
        return _copied_out(engine, container)
    finally:
        engine.remove(container)


def _copied_out(engine: ContainerEngine, container: Container) -> ModelPackage:
    home = cache_home() / "packages"
    ensure_folder(home)
    with tempfile.TemporaryDirectory(dir=home, prefix=".out-") as folder:
        made = Path(folder) / "package"
        made.mkdir()
        engine.copy_out(container, _MODEL, made)
        try:
            digest = read_package(made).digest
        except PackageError as error:
            message = f"the package in {container.name} is damaged: {error.message}"
            raise ImageUnfaithful(message, hint="do not run it; deploy another") from error
        path = place_of(digest)
        if not path.is_dir():
            made.rename(path)
    return read_package(path)
