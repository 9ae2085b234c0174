"""The three layers that dray adds to a base, from slowest to fastest changing: wheels, the runtime, the model.

Layers are kept by what they are made of, so that a new model packs one layer and nothing else.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from packager.core.artifact import ModelPackage
from packager.core.files import ensure_folder, write_atomic
from packager.core.image import MODEL_FOLDER, Layer
from packager.image.archive import files_below, write_layer
from packager.image.blobs import as_json, descriptor_of, file_digest
from packager.image.python import compiler, release_of
from packager.image.sbom import SBOM_PATH, bill_of_materials
from packager.image.wheels import Wanted, compile_modules, install_wheels, lock_text

HOME: Final = "opt/dray"
WHEELS: Final = f"{HOME}/wheels"
# What runs in an image. 65532 is distroless' own number for nobody.
OWNER: Final = 65532
# What has to outlive the container of an IoT Edge module: a volume that is mounted there takes over the owner.
STATE: Final = "var/lib/dray"
# Part of every key: another way of packing makes other layers.
_RECIPE: Final = 4


@dataclass(frozen=True, slots=True)
class LayerStore:
    """Layers and their blobs, by what they were made of.

    Attributes:
        epoch: Time of every file in a layer.
    """

    folder: Path
    epoch: int = 0

    @property
    def blobs(self) -> Path:
        """Where the blobs lie."""
        return self.folder / "blobs" / "sha256"

    def path(self, layer: Layer) -> Path:
        """A layer's blob."""
        return self.blobs / layer.descriptor.digest.removeprefix("sha256:")

    def wheels(self, wanted: Wanted) -> Layer:
        """The locked wheels with their bill of materials."""
        compiled_by = compiler_release(wanted.python) if wanted.compiled else None
        lock = lock_text(wanted.texts, onnxruntime=wanted.onnxruntime)
        key = _key("wheels", lock, str(wanted.platform), wanted.python, compiled_by, self.epoch)

        def make() -> Layer:
            with _scratch(self.folder) as folder:
                install_wheels(wanted, folder, f"/{WHEELS}")
                bill = bill_of_materials(folder)
                return self._pack("wheels", {**files_below(folder, WHEELS), SBOM_PATH: bill})

        return self._kept(key, make)

    def runtime(self, python: tuple[int, int], *, compiled: bool) -> Layer:
        """The runtime of this dray."""
        with as_file(files("runtime")) as source:
            modules = {
                name: path
                for name, path in files_below(source, "runtime").items()
                if "__pycache__" not in name and not name.endswith(".pyc")
            }
            content = {name: file_digest(path) for name, path in modules.items()}
            key = _key("runtime", content, compiler_release(python) if compiled else None, self.epoch)
            return self._kept(key, lambda: self._runtime(modules, compiler(python) if compiled else None))

    def model(self, package: ModelPackage) -> Layer:
        """A model package, without anything else that lies in its folder."""
        return self._pack("model", {f"{MODEL_FOLDER}/{name}": package.root / name for name in package.files})

    def _runtime(self, modules: Mapping[str, Path], interpreter: str | None) -> Layer:
        with _scratch(self.folder) as folder:
            for name, path in modules.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            if interpreter is not None:
                compile_modules(interpreter, folder, f"/{HOME}")
            return self._pack("runtime", files_below(folder, HOME), owned={STATE: OWNER})

    def _pack(
        self, name: str, content: Mapping[str, Path | bytes], *, owned: Mapping[str, int] = MappingProxyType({})
    ) -> Layer:
        return write_layer(name, content, self.blobs, epoch=self.epoch, owned=owned)

    def _kept(self, key: str, make: Callable[[], Layer]) -> Layer:
        record = self.folder / "layers" / f"{key}.json"
        if (layer := _read(record)) is not None and self.path(layer).is_file():
            return layer
        layer = make()
        write_atomic(record, as_json(_record(layer)))
        return layer


def compiler_release(python: tuple[int, int]) -> str:
    """Which release of Python compiles for an image of this minor version here.

    Raises:
        CompilerMissing: There is none.
    """
    return release_of(compiler(python))


def _key(*parts: object) -> str:
    text = json.dumps([_RECIPE, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _record(layer: Layer) -> dict[str, Any]:
    return {
        "name": layer.name,
        "descriptor": layer.descriptor.as_json(),
        "diff_id": layer.diff_id,
        "unpacked_bytes": layer.unpacked_bytes,
    }


def _read(record: Path) -> Layer | None:
    try:
        held = json.loads(record.read_bytes())
        return Layer(held["name"], descriptor_of(held["descriptor"]), held["diff_id"], held["unpacked_bytes"])
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    ensure_folder(beside)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".making-") as folder:
        # What is unpacked must not depend on the umask of whoever builds.
        before = os.umask(0o022)
        try:
            yield Path(folder)
        finally:
            os.umask(before)
