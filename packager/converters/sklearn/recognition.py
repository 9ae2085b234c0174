"""Telling a pickled file, or skops', from others by its name and first bytes."""

import re
import zipfile
from pathlib import Path

from packager.converters.recognised import first_bytes
from packager.core.torch_archives import LEGACY_MAGIC

_MOST_SCHEMA = 64 << 20
_SKOPS_VERSION = re.compile(r'"_sklearn_version":\s*\{[^{}]*?"content":\s*"\\"([^"\\]{1,64})\\""')
_SUFFIXES = {".joblib", ".pkl", ".pickle"}
# joblib takes the compression from the second suffix; a plain .gz is mostly an archive of something else.
_PACKED = re.compile(r"\.(joblib|pkl|pickle)\.gz$", re.IGNORECASE)
# What joblib may wrap a pickle in. Source: joblib.compressor, prefixes of the registered compressors.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x04\x22\x4d\x18")
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"ZF")
_PROTOCOLS = range(2, 6)
# Archives and tensors with their own converters, now or later.
_OTHERS = {
    ".onnx",
    ".npz",
    ".npy",
    ".zip",
    ".gz",
    ".tgz",
    ".pt",
    ".pth",
    ".pt2",
    ".ts",
    ".safetensors",
    ".h5",
    ".keras",
    ".skops",
}


def is_skops(path: Path) -> bool:
    """Whether a file is skops': a zip with a schema."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "schema.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def recorded_version(path: Path) -> str | None:
    """The scikit-learn version that a skops file's first estimator carries; None where none does."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("schema.json") as stream:
            text = stream.read(_MOST_SCHEMA).decode("utf-8", "replace")
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError):
        return None
    found = _SKOPS_VERSION.search(text)
    return None if found is None else found.group(1)


def looks_pickled(path: Path) -> bool:
    """True for the suffixes of pickles, and for pickle's or a compressor's first bytes under an unknown suffix."""
    if not path.is_file():
        return False
    if is_skops(path):
        return True
    if first_bytes(path).startswith((LEGACY_MAGIC, b"PK\x03\x04")):
        return False
    if path.suffix.lower() in _SUFFIXES or _PACKED.search(path.name):
        return True
    if path.suffix.lower() in _OTHERS:
        return False
    with path.open("rb") as stream:
        head = stream.read(8)
    pickled = len(head) > 1 and head[0] == 0x80 and head[1] in _PROTOCOLS
    return pickled or head.startswith(_COMPRESSED + _ZLIB)
