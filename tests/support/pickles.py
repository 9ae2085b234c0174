"""Pickles that would do harm, and what they are packed in."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "xz": lzma.compress,
}


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def touching(path: Path, *, protocol: int = pickle.DEFAULT_PROTOCOL) -> bytes:
    """A pickle that creates ``path`` when it is loaded."""
    return pickle.dumps(Touch(path), protocol=protocol)


def joblib_bytes(value: Any, *, protocol: int | None = None) -> bytes:
    """What joblib writes, uncompressed."""
    import joblib

    stream = io.BytesIO()
    joblib.dump(value, stream, protocol=protocol)
    return stream.getvalue()
