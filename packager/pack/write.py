"""Writing a verified conversion as a model package."""

import errno
import shutil
from pathlib import Path

from packager.core.artifact import ModelPackage
from packager.core.conversion import ConversionResult, TestCase
from packager.core.errors import PackageExists
from packager.core.files import new_folder, writing_to
from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, content_digest
from runtime.contract.package import hash_content, read_package


def write_package(result: ConversionResult, out: Path, *, name: str, version: str) -> ModelPackage:
    """Write ``out`` as a package of ``result``, and read it back.

    Raises:
        PackageExists: Something is at ``out`` already; it is left as it is.
        NotWritable, DiskFull: Nothing is left.
    """
    with writing_to(out):
        occupied = out.exists()
    if occupied:
        raise _occupied(out)
    try:
        with new_folder(out) as folder:
            _write_content(result, folder)
            manifest = _manifest(result, folder, name=name, version=version)
            (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
            certificate = _certificate(result, digest=content_digest(hash_content(folder)))
            (folder / CERTIFICATE_NAME).write_bytes(certificate.to_bytes())
    except FileExistsError as error:
        raise _occupied(out) from error
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:  # what rename says of a folder that came into being meanwhile
            raise _occupied(out) from error
        raise
    return read_package(out)


def _occupied(out: Path) -> PackageExists:
    return PackageExists(f"{str(out)!r} exists already", hint="choose another --out or --version, or remove it first")


def _write_content(result: ConversionResult, folder: Path) -> None:
    shutil.copyfile(result.onnx_path, folder / result.onnx.path)
    for name in result.external_data:
        shutil.copyfile(result.onnx_path.parent / name, folder / name)
    if (step := result.preprocessing) is not None:
        shutil.copyfile(result.onnx_path.parent / step.path, folder / step.path)
    if result.circuit is not None:
        shutil.copytree(result.circuit.folder, folder, dirs_exist_ok=True)
    for index, case in enumerate(result.test_cases):
        _write_case(case, folder / f"test_data_set_{index}")


def _write_case(case: TestCase, folder: Path) -> None:
    folder.mkdir()
    for side, tensors in (("input", case.inputs), ("output", case.outputs)):
        for index, tensor in enumerate(tensors):
            (folder / f"{side}_{index}.pb").write_bytes(tensor)


def _manifest(result: ConversionResult, folder: Path, *, name: str, version: str) -> ModelManifest:
    return ModelManifest(
        name=name,
        version=version,
        source=result.source,
        onnx=result.onnx,
        signature=result.signature,
        files=hash_content(folder),
        labels=dict(result.labels) if result.labels else None,
        training=dict(result.training) if result.training else None,
        preprocessing=result.preprocessing,
        tolerances=dict(result.tolerances) if result.tolerances else None,
        circuit=result.circuit.model if result.circuit else None,
    )


def _certificate(result: ConversionResult, *, digest: str) -> Certificate:
    return Certificate(
        digest=digest,
        reference=result.reference,
        parity=result.parity,
        batch_safety=result.batch_safety,
        versions=dict(result.versions),
        trusted=result.trusted,
        notes=result.notes,
        transform=result.transform,
        circuit=result.circuit.evidence if result.circuit else None,
    ).sealed()
