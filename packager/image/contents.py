"""The model package that an image in a registry holds, without an engine: only the layer with the model is fetched."""

import json
import tarfile
import tempfile
from pathlib import Path

from packager.core.archives import unpack_folder
from packager.core.artifact import ModelPackage
from packager.core.credentials import CredentialSource
from packager.core.credentials_azure import registry_credentials
from packager.core.errors import ImageInvalid, ImageUnfaithful, PackageError
from packager.core.evidence import take_evidence
from packager.core.files import ensure_folder
from packager.core.image import MODEL_FOLDER, ImageRef, Platform
from packager.core.progress import Progress
from packager.core.state import cache_home
from packager.image.blobs import Manifest, descriptor_of
from packager.image.registry import Registry
from packager.image.registry_http import RegistrySettings
from runtime.contract.package import read_package


def package_of_image(
    ref: ImageRef,
    progress: Progress,
    *,
    credentials: CredentialSource | None = None,
    settings: RegistrySettings | None = None,
) -> tuple[ModelPackage, ImageRef]:
    """The package, every digest checked, and the image pinned to what its tag means now.

    Raises:
        ImageMissing, PullDenied, RegistryError: Of the registry.
        ImageUnfaithful: The image holds no package, or a damaged one.
    """
    source = registry_credentials(credentials)
    with Registry(ref.host, source, settings or RegistrySettings()) as registry:
        progress.step(f"reading the package of {ref}")
        top = registry.manifest(ref.path, ref.selector)
        manifest = _first_platform(registry, ref, top)
        return _package(registry, ref, manifest), ref.with_digest(top.descriptor.digest)


def image_platforms(ref: ImageRef, *, credentials: CredentialSource | None = None) -> tuple[Platform, ...]:
    """For which platforms a registry has an image.

    Raises:
        ImageMissing, PullDenied, RegistryError: Of the registry.
    """
    with Registry(ref.host, registry_credentials(credentials)) as registry:
        top = registry.manifest(ref.path, ref.selector)
        if top.is_index:
            entries = map(descriptor_of, top.document.get("manifests") or ())
            return tuple(each.platform for each in entries if each.platform and each.platform.os != "unknown")
        try:
            config = json.loads(registry.blob(ref.path, descriptor_of(top.document["config"])))
            return (Platform.of_json(config),)
        except (ValueError, KeyError, AttributeError) as error:
            raise ImageInvalid(f"{ref} does not say what it is for", hint="build and push it again") from error


def _first_platform(registry: Registry, ref: ImageRef, top: Manifest) -> Manifest:
    """The package is the same on every platform."""
    if not top.is_index:
        return top
    entries = [descriptor_of(entry) for entry in top.document.get("manifests") or ()]
    images = [each for each in entries if each.platform and each.platform.os != "unknown"]
    if not images:
        raise ImageInvalid(f"the index of {ref} lists no image", hint="build and push it again")
    return registry.manifest(ref.path, images[0].digest)


def _package(registry: Registry, ref: ImageRef, manifest: Manifest) -> ModelPackage:
    home = cache_home() / "packages"
    ensure_folder(home)
    with tempfile.TemporaryDirectory(dir=home, prefix=".image-") as folder:
        # The model lies on top: what changes oftest comes last.
        for number, entry in enumerate(reversed(manifest.document.get("layers") or ())):
            layer, out = Path(folder) / f"layer-{number}", Path(folder) / "package"
            registry.fetch_blob(ref.path, descriptor_of(entry), layer)
            try:
                with tarfile.open(layer) as archive:
                    found = unpack_folder(archive, MODEL_FOLDER, out)
            except tarfile.TarError as error:
                raise ImageInvalid(
                    f"a layer of {ref} cannot be unpacked: {error}", hint="build and push it again"
                ) from error
            if found:
                return _kept(out, home, ref)
    raise ImageUnfaithful(f"{ref} holds no model package", hint="is it an image of dray? `dray image` makes them")


def _kept(unpacked: Path, home: Path, ref: ImageRef) -> ModelPackage:
    try:
        package = read_package(unpacked)
    except PackageError as error:
        raise ImageUnfaithful(f"the package in {ref} is damaged: {error.message}", hint="do not run it") from error
    path = home / package.digest.removeprefix("sha256:")
    if path.is_dir():
        take_evidence(package, path)
    else:
        unpacked.rename(path)
    return read_package(path)
