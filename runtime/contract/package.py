"""Reading a model package: every byte of its content is checked against its digests before anything uses it."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.circuit import SIMULATIONS
from runtime.contract.errors import PackageDamaged, PackageInvalid, PackageMissing
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, OutputTolerance, content_digest
from runtime.contract.tensors import TensorFile, load_tensor

_Model = TypeVar("_Model", bound=BaseModel)
_TEST_SET = re.compile(r"test_data_set_(\d+)")
_CHUNK_BYTES = 1 << 20
# What a package that declares nothing, and has no parity, is held to: the defaults of `dray package`.
_DEFAULT_TOLERANCE = OutputTolerance(atol=1e-5, rtol=1e-4)
_REMAKE = "make the package again with `dray package`"


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """A package whose files are the ones that were packaged.

    Attributes:
        root: Absolute.
        digest: The content digest, as the certificate names it.
    """

    root: Path
    manifest: ModelManifest
    certificate: Certificate
    digest: str

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.root / self.manifest.onnx.path

    def tolerance(self, output: str) -> OutputTolerance:
        """What answers to the test data are held to: declared in the manifest, else that of parity."""
        if self.manifest.tolerances and output in self.manifest.tolerances:
            return self.manifest.tolerances[output]
        parity = self.certificate.parity
        return _DEFAULT_TOLERANCE if parity is None else OutputTolerance(atol=parity.atol, rtol=parity.rtol)

    def read_content(self, path: str) -> bytes:
        """The bytes of a content file or simulation, compared with its digest anew: what is used is what was verified.

        Raises:
            PackageDamaged: The file was changed or removed after the package was read.
        """
        try:
            data = (self.root / path).read_bytes()
        except FileNotFoundError as error:
            raise PackageDamaged(f"the package {str(self.root)!r} has lost {path}", hint=_REMAKE) from error
        if hashlib.sha256(data).hexdigest() != self._sha256(path):
            raise PackageDamaged(
                f"{path} of the package {str(self.root)!r} was changed after the package was read",
                hint=f"copy it again from where it was made, or {_REMAKE}",
                detail={"changed": [path]},
            )
        return data

    @property
    def files(self) -> tuple[str, ...]:
        """All that the package is made of, by relative path: content and evidence."""
        simulations = self.certificate.circuit.simulations if self.certificate.circuit else ()
        return (MANIFEST_NAME, CERTIFICATE_NAME, *self.manifest.files, *(each.path for each in simulations))

    def _sha256(self, path: str) -> str:
        simulations = self.certificate.circuit.simulations if self.certificate.circuit else ()
        return {**{each.path: each.sha256 for each in simulations}, **self.manifest.files}[path]

    def test_data_sets(self) -> "tuple[TestDataSet, ...]":
        """Sample inputs and the source's answers, in the order of their numbers.

        Raises:
            PackageInvalid: A tensor file cannot be read, or there is no test data at all.
        """
        names = {path.split("/")[0] for path in self.manifest.files if _TEST_SET.match(path)}
        ordered = sorted(names, key=lambda name: int(name.rpartition("_")[2]))
        if not ordered:
            raise PackageInvalid(f"the package {self.root} holds no test data", hint=_REMAKE)
        return tuple(self._test_data_set(name) for name in ordered)

    def _test_data_set(self, name: str) -> "TestDataSet":
        signature = self.manifest.signature
        inputs = self._tensors(name, "input", len(signature.inputs))
        outputs = self._tensors(name, "output", len(signature.outputs))
        return TestDataSet(name, inputs, outputs)

    def _tensors(self, folder: str, side: str, count: int) -> tuple[TensorFile, ...]:
        paths = [f"{folder}/{side}_{index}.pb" for index in range(count)]
        absent = [path for path in paths if path not in self.manifest.files]
        if absent:
            raise PackageInvalid(f"the test data of {str(self.root)!r} lack {absent[0]}", hint=_REMAKE)
        return tuple(load_tensor(self.read_content(path)) for path in paths)


@dataclass(frozen=True, slots=True)
class TestDataSet:
    """One folder of the ONNX test-data convention; tensors in the order of the signature."""

    __test__ = False  # pytest would collect the name

    name: str
    inputs: tuple[TensorFile, ...]
    outputs: tuple[TensorFile, ...]


def read_package(root: Path) -> VerifiedPackage:
    """The package at ``root``, after every content file was read and its digest compared.

    Raises:
        PackageMissing: No folder with a manifest there.
        PackageInvalid: A file does not follow the format, or is of a newer schema.
        PackageDamaged: A file differs from what was packaged, or is absent or extra; all such files are named.
    """
    root = Path(os.path.abspath(root))
    if not (root / MANIFEST_NAME).is_file():
        what = "no such folder" if not root.exists() else "no manifest.json in it"
        raise PackageMissing(f"not a model package: {str(root)!r} ({what})", hint="`dray package MODEL` makes one")
    manifest = _parse(root, MANIFEST_NAME, ModelManifest)
    found = hash_content(root)
    digest = content_digest(found)
    certificate = _parse(root, CERTIFICATE_NAME, Certificate)
    _check_files(root, manifest.files, found)
    if certificate.digest != digest:
        raise PackageDamaged(
            f"the content of {str(root)!r} has the digest {digest}, its certificate is about {certificate.digest}",
            hint=f"manifest.json or the certificate was changed after packaging; {_REMAKE}",
            detail={"expected": certificate.digest, "actual": digest, "files": [MANIFEST_NAME]},
        )
    if not certificate.intact:
        raise PackageDamaged(
            f"the certificate of {str(root)!r} does not match its seal",
            hint=f"certificate.json was changed after packaging; {_REMAKE}",
            detail={"files": [CERTIFICATE_NAME]},
        )
    _check_simulations(root, certificate)
    return VerifiedPackage(root, manifest, certificate, digest)


def hash_content(root: Path) -> dict[str, str]:
    """SHA-256 of every file under ``root`` but the evidence, by relative path with forward slashes."""
    files = sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink())
    relative = {path.relative_to(root).as_posix(): path for path in files}
    relative.pop(CERTIFICATE_NAME, None)
    return {name: file_sha256(path) for name, path in relative.items() if not _is_simulation(name)}


def _is_simulation(path: str) -> bool:
    return path.startswith(f"{SIMULATIONS}/")


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    state = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            state.update(piece)
    return state.hexdigest()


def _check_simulations(root: Path, certificate: Certificate) -> None:
    """The libraries that simulate a circuit are those that the certificate, whose seal holds, tells of."""
    told = certificate.circuit.simulations if certificate.circuit else ()
    folder = root / SIMULATIONS
    found = {path.relative_to(root).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    _check_files(root, {each.path: each.sha256 for each in told}, found)


def _check_files(root: Path, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    actual = {path: sha256 for path, sha256 in found.items() if path != MANIFEST_NAME}
    absent = sorted(expected.keys() - actual.keys())
    extra = sorted(actual.keys() - expected.keys())
    changed = sorted(path for path in expected.keys() & actual.keys() if expected[path] != actual[path])
    if not (absent or extra or changed):
        return
    parts = [("changed", changed), ("absent", absent), ("not of the package", extra)]
    what = "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
    raise PackageDamaged(
        f"the package {str(root)!r} is not as it was made: {what}",
        hint=f"copy it again from where it was made, or {_REMAKE}",
        detail={"changed": changed, "absent": absent, "extra": extra},
    )


def _parse(root: Path, name: str, model: type[_Model]) -> _Model:
    path = root / name
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise PackageDamaged(f"the package {str(root)!r} has no {name}", hint=_REMAKE) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise PackageInvalid(
            f"{name} of {str(root)!r} does not follow the format: {where}: {first['msg'].lower()}",
            hint=f"it was changed after packaging, or made by a newer dray; {_REMAKE}",
            detail={"file": name, "location": where},
        ) from error
