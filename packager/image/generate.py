"""A Dockerfile and its context, for those who build elsewhere: the same files in the same layers, by COPY alone."""

import json
import string
import tarfile
from importlib.resources import files
from pathlib import Path
from typing import Final

from packager.core.archives import unpack_files
from packager.core.artifact import ModelPackage
from packager.core.errors import ImageExists, UsageError
from packager.core.files import new_folder
from packager.core.progress import Progress
from packager.image.base import fetch_base, read_base
from packager.image.build import (
    PORT,
    USER,
    ImageRequest,
    added_layers,
    check_simulated,
    dray_version,
    labels_of,
    native_platform,
    source_date_epoch,
)
from packager.image.layers import STATE, LayerStore

_TEMPLATE: Final = "Dockerfile.template"


def generate(package: ModelPackage, request: ImageRequest, out: Path, *, cache: Path, progress: Progress) -> None:
    """Write Dockerfile and context to a folder that is not there yet, for one platform.

    Raises:
        ImageExists: Something is there.
        ImageError: Of its family: the base is read, for its Python.
    """
    if out.exists():
        raise ImageExists(f"{str(out)!r} is there already", hint="remove it, or name another folder")
    if len(request.platforms) > 1:
        raise UsageError("a Dockerfile's context is for one platform", hint="write one folder for each --platform")
    platform = (request.platforms or (native_platform(),))[0]
    check_simulated(package, (platform,))
    base = read_base(
        fetch_base(request.base, (platform,), cache / "bases", request.credentials, progress), request.base, platform
    )
    store = LayerStore(cache / "layers", source_date_epoch())
    layers = added_layers(package, request, base, store, progress)
    labels = labels_of(package, request, base)
    with new_folder(out) as staging:
        for layer in layers:
            with tarfile.open(store.path(layer)) as tar:
                unpack_files(tar, staging / layer.name)
        (staging / "state").mkdir()
        (staging / "state" / ".keep").touch()  # COPY makes no folder of nothing
        dockerfile = string.Template(template()).substitute(
            dray_version=dray_version(),
            state=STATE,
            name=package.manifest.name,
            version=package.manifest.version,
            package_digest=package.digest,
            base=_from(request.base),
            user=USER,
            port=PORT,
            python=base.python.path,
            labels="\n".join(f"LABEL {name}={json.dumps(value)}" for name, value in sorted(labels.items())),
        )
        (staging / "Dockerfile").write_text(dockerfile, encoding="utf-8")


def _from(base: str) -> str:
    """How the Dockerfile begins: it takes references only, so a base in a file is named when the image is built."""
    return "ARG BASE\nFROM ${BASE}" if Path(base).expanduser().exists() else f"FROM {base}"


def template() -> str:
    """The only Dockerfile there is: with the package where dray is installed, at the root of its repository else."""
    shipped = files("packager").joinpath("_data", _TEMPLATE)
    if shipped.is_file():
        return shipped.read_text(encoding="utf-8")
    return (Path(__file__).parents[2] / _TEMPLATE).read_text(encoding="utf-8")
