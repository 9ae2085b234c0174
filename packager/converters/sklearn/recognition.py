"""Telling a pickled file from others by its name and first bytes."""

from pathlib import Path

_SUFFIXES = {".joblib", ".pkl", ".pickle"}
# What joblib may wrap a pickle in. Source: joblib.compressor, prefixes of the registered compressors.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00", b"\x04\x22\x4d\x18")
_ZLIB = (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"ZF")
_PROTOCOLS = range(2, 6)
# Archives and tensors with their own converters, now or later.
_OTHERS = {".onnx", ".npz", ".npy", ".zip", ".gz", ".tgz", ".pt", ".pth", ".pt2", ".h5", ".keras", ".skops"}


def looks_pickled(path: Path) -> bool:
    """True for the suffixes of pickles, and for pickle's or a compressor's first bytes under an unknown suffix."""
    if not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    if path.suffix.lower() in _OTHERS:
        return False
    with path.open("rb") as stream:
        head = stream.read(8)
    pickled = len(head) > 1 and head[0] == 0x80 and head[1] in _PROTOCOLS
    return pickled or head.startswith(_COMPRESSED + _ZLIB)
