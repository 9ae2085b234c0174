"""PyTorch's files: zips of pickles, tensors, graphs and TorchScript; before 1.6, pickles in a row.

A zip is written anew from what was read, so that no other reader of zips sees other entries in the same bytes.
Source: torch.serialization, torch.jit and torch.export.pt2_archive of PyTorch 2.13.
"""

import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import BinaryIO, cast

from packager.convert.safety.exported_programs import read_program
from packager.convert.safety.findings import Findings, Unreadable
from packager.convert.safety.machine import Machine
from packager.core.torch_archives import LEGACY_MAGIC, ArchiveKind, kind_of_entries

_LARGEST_PICKLE = 1 << 30
_LARGEST_HEADER = 100 << 20
_FREE_BYTES = 256 << 20
_MOST_TIMES = 200
_LEGACY_PICKLES = 5  # magic number, protocol, machine, the object, the keys of its storages
# What TorchScript calls by name beside its own functions, and those of them that touch files or the process.
_NAMESPACE = re.compile(r"\bops\.(\w+)\.(\w+)")
_HARMLESS_NAMESPACES = {"aten", "prim", "quantized", "inductor", "prims", "_quantized"}
_TOUCHES = re.compile(
    r"\b(?:torch|ops\.\w+)\.(_?save\w*|load\w*|_?from_file\w*|PythonOp|CallFunction|_?read_file\w*)\b"
)


def is_torch(path: Path) -> bool:
    """Whether a file is one of PyTorch's zips, or of its older pickles, whatever its name."""
    with path.open("rb") as stream:
        if stream.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC:
            return True
    try:
        with zipfile.ZipFile(path) as archive:
            return kind_of_entries(archive.namelist()) is not None
    except (zipfile.BadZipFile, OSError):
        return False


def is_safetensors(path: Path) -> bool:
    """Whether a file begins with the length of a header of JSON, which holds no code."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_LARGEST_HEADER, path.stat().st_size - 8):
            return False
        try:
            return isinstance(json.loads(stream.read(length)), dict)
        except (ValueError, RecursionError):
            return False


def read_torch(path: Path, findings: Findings) -> None:
    """Note everything that loading the file would call; a zip is replaced by one written anew.

    Raises:
        Unreadable: Damaged, or made so that two readers would see different things.
    """
    with path.open("rb") as stream:
        if stream.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC:
            stream.seek(0)
            _read_legacy(stream, path.stat().st_size, findings)
            return
    fresh = path.with_name(f"{path.name}.fresh")
    with path.open("rb") as given, fresh.open("xb") as written:
        _read_zip(given, path.stat().st_size, cast("BinaryIO", written), findings)
    fresh.replace(path)


def _read_legacy(stream: BinaryIO, size: int, findings: Findings) -> None:
    for _ in range(_LEGACY_PICKLES):
        Machine(stream, size, findings, arrays=False, storages=True).run()


def _read_zip(given: BinaryIO, size: int, written: BinaryIO, findings: Findings) -> None:
    try:
        with zipfile.ZipFile(given) as archive, zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as fresh:
            _check_entries(archive, size)
            kind = kind_of_entries(archive.namelist())
            if kind is None:
                raise Unreadable("it is no archive of PyTorch's", 0)
            for entry in archive.infolist():
                _copy(archive, entry, fresh, kind, findings)
            if kind is ArchiveKind.PROGRAM:
                read_program(archive, findings)
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise Unreadable(f"it is no zip that can be read: {type(error).__name__}: {error}", 0) from error


def _copy(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, fresh: zipfile.ZipFile, kind: ArchiveKind, findings: Findings
) -> None:
    """One entry, judged by what it is; a zip inside is written anew too."""
    name = entry.filename.partition("/")[2]
    target = zipfile.ZipInfo(entry.filename)
    with archive.open(entry) as source, fresh.open(target, "w", force_zip64=entry.file_size > 1 << 30) as copy:
        if kind is ArchiveKind.CHECKPOINT and name == "data.pkl":
            copy.write(_judged_pickle(_small(source, entry), findings))
        elif kind is ArchiveKind.SCRIPT and name.startswith("code/") and name.endswith(".py"):
            copy.write(_judged_script(_small(source, entry), findings))
        elif kind is ArchiveKind.PROGRAM and _is_inner_zip(name, source):
            inner = io.BytesIO()
            content = _small(source, entry)
            _read_zip(io.BytesIO(content), len(content), inner, findings)
            copy.write(inner.getvalue())
        else:
            shutil.copyfileobj(source, copy, 1 << 20)


def _is_inner_zip(name: str, source: object) -> bool:
    """Whether an entry of an exported program is a file of torch.save: what is unpickled there begins as a zip."""
    if not name.startswith(("data/weights/", "data/constants/", "data/sample_inputs/")) or name.endswith(".json"):
        return False
    head = source.peek(4)[:4]  # type: ignore[attr-defined]  # ZipExtFile has it
    return bool(head == b"PK\x03\x04")


def _small(source: object, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > _LARGEST_PICKLE:
        raise Unreadable(f"{entry.filename!r} is larger than {_LARGEST_PICKLE >> 20} MiB", 0, unsafe=True)
    content: bytes = source.read()  # type: ignore[attr-defined]
    return content


def _judged_pickle(content: bytes, findings: Findings) -> bytes:
    stream = io.BytesIO(content)
    Machine(stream, len(content), findings, arrays=False, storages=True).run()
    if stream.tell() < len(content):
        findings.refuse(f"{len(content) - stream.tell()} bytes after the end of the pickle", stream.tell())
    return content


def _judged_script(content: bytes, findings: Findings) -> bytes:
    """TorchScript is run by an interpreter of its own, which reaches files by a few operators only."""
    text = content.decode("utf-8", "replace")
    for found in _TOUCHES.finditer(text):
        findings.refuse(f"the TorchScript operator {found[1]}", found.start())
    for found in _NAMESPACE.finditer(text):
        if found[1] not in _HARMLESS_NAMESPACES:
            findings.refuse(f"the TorchScript operator {found[1]}::{found[2]}, which is not PyTorch's", found.start())
    return content


def _check_entries(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    names = [entry.filename.casefold() for entry in entries]
    if len(set(names)) != len(names):
        raise Unreadable("it holds two entries of one name", 0, unsafe=True)
    if len({name.partition("/")[0] for name in names}) != 1:
        raise Unreadable("its entries are not all in one folder", 0, unsafe=True)
    if any(".." in name.split("/") or "\\" in name or name.startswith("/") for name in names):
        raise Unreadable("an entry lies outside its folder", 0, unsafe=True)
    limit = max(_FREE_BYTES, size * _MOST_TIMES)
    if sum(entry.file_size for entry in entries) > limit:
        raise Unreadable(f"it grows to more than {limit >> 20} MiB", 0, unsafe=True)
