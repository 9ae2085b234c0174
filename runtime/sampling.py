"""A share of the answered requests, with inputs and outputs, as JSON lines for whoever looks for drift.

The event loop only draws lots and copies a bounded number of bytes; a thread writes. What it cannot keep up with is
dropped and counted.
"""

import logging
import math
import os
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from runtime.contract.manifest import ModelManifest, TensorSpec
from runtime.settings import SettingInvalid

logger = logging.getLogger(__name__)

Array = NDArray[Any]
# Values of one sample in bytes: what does not fit is left out, and the sample says so.
MOST_BYTES: Final = 64 << 10
# Samples that wait for the writer.
_MOST_WAITING: Final = 4096
_MOST_WAITING_BYTES: Final = 16 << 20
# The writer takes what came in so long a time together, and lets other threads go on for so long after each sample.
_GATHER_S: Final = 0.02
_YIELD_S: Final = 50e-6
_STDOUT: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answered request; its arrays are its own.

    Attributes:
        tensors: ``inputs`` and ``outputs`` by name; a text stands for a tensor that was left out, and says why.
        size_bytes: Of the arrays.
    """

    time_ns: int
    request_id: str
    dialect: str
    manifest: ModelManifest
    digest: str
    tensors: Mapping[str, Mapping[str, "Array | str"]]
    size_bytes: int


@dataclass(slots=True)
class Samples:
    """Where samples go, and how many did.

    Attributes:
        rate: Share of the answered requests, above 0 and at most 1.
        target: What the file is called in a warning.
    """

    rate: float
    target: str = "standard output"
    written: int = 0
    dropped: int = 0
    _descriptor: int = _STDOUT
    _waiting: deque[Sample] = field(default_factory=deque, repr=False)
    _waiting_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _come: threading.Event = field(default_factory=threading.Event, repr=False)
    _writer: threading.Thread | None = field(default=None, repr=False)
    _writer_pid: int = 0
    _warned: bool = False
    _torn: bool = False
    _closing: bool = False

    def drawn(self) -> bool:
        """Whether the lot falls on this request."""
        return self.rate >= 1 or random.random() < self.rate  # noqa: S311 - statistics, no secret

    def take(
        self,
        manifest: ModelManifest,
        *,
        digest: str,
        dialect: str,
        request_id: str,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
    ) -> None:
        """Keep a copy of an answered request for the writer; never waits."""
        tensors, size = _copied({"inputs": inputs, "outputs": outputs})
        sample = Sample(
            time_ns=time.time_ns(),
            request_id=request_id,
            dialect=dialect,
            manifest=manifest,
            digest=digest,
            tensors=tensors,
            size_bytes=size,
        )
        with self._lock:
            full = len(self._waiting) >= _MOST_WAITING or self._waiting_bytes + size > _MOST_WAITING_BYTES
            if full or self._closing:
                self.dropped += 1
                return
            self._waiting.append(sample)
            self._waiting_bytes += size
            if self._writer is None or self._writer_pid != os.getpid():  # a fork leaves the threads behind
                self._start()
        self._come.set()

    def close(self, *, timeout_s: float = 1.0) -> None:
        """Write what waits, for so long at most."""
        self._closing = True
        self._come.set()
        if self._writer is not None and self._writer_pid == os.getpid():
            self._writer.join(timeout_s)

    def _start(self) -> None:
        self._writer = threading.Thread(target=self._write_all, name="samples", daemon=True)
        self._writer_pid = os.getpid()
        self._writer.start()

    def _write_all(self) -> None:
        while True:
            self._come.wait()
            if not self._closing:
                time.sleep(_GATHER_S)
            self._come.clear()
            with self._lock:
                waiting, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
            lines = [_line_in_peace(sample) for sample in waiting]
            if lines:
                self._write(lines)
            if self._closing and not self._waiting:
                return

    def _write(self, lines: list[bytes]) -> None:
        """All lines in one call, so that those of other processes come before or after them."""
        mended = int(self._torn)  # half a line stands at the end: it gets an end of its own
        content = b"\n" * mended + b"".join(lines)
        written, failure = _append(self._descriptor, content)
        whole = len(lines) if failure is None else content.count(b"\n", mended, written)
        self.written += whole
        self.dropped += len(lines) - whole
        if written:
            self._torn = not content.endswith(b"\n", 0, written)
        if failure is not None:
            self._warn(failure.strerror or str(failure))

    def _warn(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "samples are lost: %s takes none (%s); told once, counted always", self.target, reason.lower()
            )


def open_samples(rate: float, path: Path | None) -> Samples | None:
    """Samples that are appended to a file, or go to standard output; None where none are wanted.

    Raises:
        SettingInvalid: The file cannot be opened.
    """
    if rate <= 0:
        return None
    if path is None:
        return Samples(rate)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingInvalid(
            f"DRAY_SAMPLE_FILE is {str(path)!r}, which cannot be opened for appending: {reason}",
            hint="name a file in a folder that this user may write to, or leave it out for standard output",
            detail={"name": "DRAY_SAMPLE_FILE", "value": str(path)},
        ) from error
    return Samples(rate, repr(str(path)), _descriptor=descriptor)


def line_of(sample: Sample) -> bytes:
    """One line of JSON. NaN is ``null`` and infinity a string, for JSON has neither."""
    signature = sample.manifest.signature
    document = {
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(sample.time_ns // 10**9))}"
        f".{sample.time_ns // 10**6 % 1000:03d}Z",
        "request_id": sample.request_id,
        "dialect": sample.dialect,
        "model": sample.manifest.name,
        "version": sample.manifest.version,
        "digest": sample.digest,
        "inputs": _described(sample.tensors["inputs"], signature.inputs),
        "outputs": _described(sample.tensors["outputs"], signature.outputs),
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def _line_in_peace(sample: Sample) -> bytes:
    """As ``line_of``; the event loop's thread gets the interpreter in between."""
    line = line_of(sample)
    time.sleep(_YIELD_S)
    return line


def _copied(
    sides: Mapping[str, Mapping[str, Array]],
) -> tuple[dict[str, dict[str, "Array | str"]], int]:
    """Copies while they fit, since an input may be a view of a buffer that is used again."""
    left, copies = MOST_BYTES, dict[str, dict[str, Array | str]]()
    for side, tensors in sides.items():
        copies[side] = {}
        for name, array in tensors.items():
            size = _size_of(array)
            if size > left:
                copies[side][name] = _left_out(array, size)
                continue
            left -= size
            copies[side][name] = array.copy()
    return copies, MOST_BYTES - left


def _size_of(array: Array) -> int:
    if array.dtype != object or array.nbytes > MOST_BYTES:
        return array.nbytes
    return array.nbytes + sum(len(item) for item in array.reshape(-1).tolist())


def _left_out(array: Array, size: int) -> str:
    return f"{list(array.shape)} values of {size} bytes, and a sample holds {MOST_BYTES} bytes"


def _described(tensors: Mapping[str, "Array | str"], specs: tuple[TensorSpec, ...]) -> dict[str, dict[str, Any]]:
    dtypes = {spec.name: spec.dtype for spec in specs}
    return {
        name: {"datatype": dtypes[name], "omitted": value}
        if isinstance(value, str)
        else {"datatype": dtypes[name], "shape": list(value.shape), "data": _flat(value)}
        for name, value in tensors.items()
    }


def _flat(array: Array) -> "Array | list[Any]":
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype == object:
        return [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in flat.tolist()]
    if flat.dtype.kind == "f" and np.isinf(flat).any():
        return [str(item).replace("inf", "Infinity") if math.isinf(item) else item for item in flat.tolist()]
    return flat


def _append(descriptor: int, content: bytes) -> tuple[int, OSError | None]:
    """How many bytes were written, and why not all: one call where the system takes all at once, as files do."""
    written = 0
    try:
        while written < len(content):
            written += os.write(descriptor, memoryview(content)[written:])
    except OSError as error:
        return written, error
    return written, None
