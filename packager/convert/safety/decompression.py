"""Copies of model files, decompressed as joblib would, with bounds on size and ratio."""

import bz2
import lzma
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from packager.core.errors import ModelInvalid, UnsafeModel
from runtime.contract.package import file_sha256

_CHUNK_BYTES = 1 << 20
_MOST_BYTES = 16 << 30
# Over this size, a file that grows more than so many times is a bomb: models were seen to grow 60 times at most.
_FREE_BYTES = 256 << 20
_MOST_TIMES = 200
_LZMA_MEMORY_BYTES = 256 << 20


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


# In joblib's order; source: joblib.compressor, the prefixes of the registered compressors.
_FORMATS: tuple[tuple[bytes, str, "Callable[[], _Decompressor] | None"], ...] = (
    (b"\x78", "zlib", zlib.decompressobj),
    (b"\x1f\x8b", "gzip", lambda: zlib.decompressobj(wbits=31)),
    (b"BZ", "bz2", bz2.BZ2Decompressor),
    (b"\x5d\x00", "lzma", lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)),
    (b"\xfd7zXZ", "xz", lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)),
    (b"\x04\x22\x4d\x18", "lz4", None),
    (b"ZF", "joblib 0.9", None),
)


def decompressed(source: Path, folder: Path) -> tuple[Path, str]:
    """A copy of ``source`` in ``folder``, decompressed, and the SHA-256 of the file as it is.

    Raises:
        ModelInvalid: Cut off, damaged, or of a form that is not read.
        UnsafeModel: It grows beyond all measure, holds another compressed file, or is followed by other bytes.
    """
    # One read of the file that others may change: everything after it is about this copy.
    raw, plain = folder / f"{source.name}.raw", folder / source.name
    shutil.copyfile(source, raw)
    sha256 = file_sha256(raw)
    with raw.open("rb") as compressed:
        name, start = _format(compressed.read(8))
        compressed.seek(0)
        if name is None:
            raw.rename(plain)
            return plain, sha256
        if start is None:
            raise ModelInvalid(
                f"{source.name!r} is compressed with {name}, which is not read",
                hint="load it where it was made, and save it again with joblib.dump(model, 'model.joblib', compress=3)",
            )
        try:
            with plain.open("xb") as expanded:
                _expand(compressed, expanded, start(), source)
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the file's
            raise _damaged(source, f"its {name} compression: {error}") from error
    raw.unlink()
    _check_not_compressed_again(source, plain, name)
    return plain, sha256


def _check_not_compressed_again(source: Path, plain: Path, name: str) -> None:
    with plain.open("rb") as stream:
        inner, _ = _format(stream.read(8))
    if inner is not None:
        raise UnsafeModel(
            f"{source.name!r} is compressed twice, with {name} and {inner}",
            hint="decompress it, and look at what is in it",
        )


def _format(head: bytes) -> "tuple[str | None, Callable[[], _Decompressor] | None]":
    return next(((name, start) for prefix, name, start in _FORMATS if head.startswith(prefix)), (None, None))


def _expand(compressed: BinaryIO, plain: BinaryIO, decompressor: _Decompressor, source: Path) -> None:
    limit = min(_MOST_BYTES, max(_FREE_BYTES, source.stat().st_size * _MOST_TIMES))
    written = 0
    pending = b""
    while not decompressor.eof:
        hungry = getattr(decompressor, "needs_input", True)
        chunk = pending or (compressed.read(_CHUNK_BYTES) if hungry else b"")
        data = decompressor.decompress(chunk, _CHUNK_BYTES)
        pending = getattr(decompressor, "unconsumed_tail", b"")
        if not data and not chunk and hungry and not decompressor.eof:
            raise _damaged(source, "it is cut off")
        written += len(data)
        if written > limit:
            raise UnsafeModel(
                f"{source.name!r} grows to more than {limit >> 20} MiB when it is decompressed",
                hint="decompress it yourself if it is meant to be that large; dray takes the plain file",
            )
        plain.write(data)
    if decompressor.unused_data or compressed.read(1):
        raise UnsafeModel(f"{source.name!r} holds bytes after the end of its compression", hint="save the model again")


def _damaged(source: Path, why: str) -> ModelInvalid:
    return ModelInvalid(
        f"{source.name!r} cannot be decompressed: {why}",
        hint="save the fitted estimator again with joblib.dump(estimator, 'model.joblib')",
    )
