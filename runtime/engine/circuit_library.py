"""The library that simulates a circuit: loaded from verified bytes, asked by several threads, let go of again."""

import _ctypes
import ctypes
import itertools
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import CircuitStalled

Integers = NDArray[np.int64]
# Of the functions that are called here; another number means that they take or mean something else.
INTERFACE: Final = 1
# Paths of memory files are made different by so many of ``/.``; the kernel takes 4096 bytes of a path.
_MOST_DOTS: Final = 1500
_serials = itertools.count(1)


class LibraryRefused(Exception):
    """What is no library of this machine's, or none that simulates a circuit; the text says why."""


class CircuitLibrary:
    """A simulated circuit, for any number of threads: each call has a simulation to itself.

    The library is unloaded with the last reference.

    Args:
        content: Of the library.

    Attributes:
        taken, given: Integers of a row that goes in, and of one that comes out.
        taken_bits: Of one integer that goes in.

    Raises:
        LibraryRefused: It cannot be loaded here, or is of another interface.
    """

    def __init__(self, content: bytes) -> None:
        self._calls = _load(content)
        # Simulations that nobody uses now; both are thread-safe operations of a list.
        self._free: list[int] = []
        unload = weakref.finalize(self, _unload, self._calls, self._free)
        # At the end of the process a thread may still be in it.
        unload.atexit = False
        four = (ctypes.c_int64 * 4)()
        self._calls.circuit_ports(four)
        self.taken, self.taken_bits, self.given = int(four[0]), int(four[1]), int(four[2])

    def run(self, rows: Integers) -> Integers:
        """The circuit's answers to rows of integers, which fit its ports.

        Raises:
            CircuitStalled: Answers stay away.
        """
        asked = np.ascontiguousarray(rows, np.int64)
        found = np.empty((len(asked), self.given), np.int64)
        if not len(asked):
            return found
        first = ctypes.c_int64(-1)
        with self._simulation() as handle:
            cycles = self._calls.circuit_run(
                handle, asked.ctypes.data, found.ctypes.data, len(asked), 0, ctypes.byref(first)
            )
        if cycles < 0:
            raise CircuitStalled(
                f"the simulated circuit did not answer all of {len(asked)} rows",
                hint="this is a bug in dray, or the package's simulation is not what it was built as",
            )
        return found

    @contextmanager
    def _simulation(self) -> Iterator[int]:
        try:
            handle = self._free.pop()
        except IndexError:
            handle = self._calls.circuit_new()
        try:
            yield handle
        finally:
            self._free.append(handle)


def _unload(calls: ctypes.CDLL, free: list[int]) -> None:
    while free:
        calls.circuit_free(free.pop())
    _ctypes.dlclose(calls._handle)


def _load(content: bytes) -> ctypes.CDLL:
    calls = _first_that_loads(content)
    try:
        calls.circuit_interface.restype = ctypes.c_int64
        found = int(calls.circuit_interface())
        if found != INTERFACE:
            raise LibraryRefused(f"it has the interface {found}, and this dray knows {INTERFACE}")
        calls.circuit_ports.restype = None
        calls.circuit_new.restype = ctypes.c_void_p
        calls.circuit_free.argtypes, calls.circuit_free.restype = [ctypes.c_void_p], None
        pointer, count = ctypes.c_void_p, ctypes.c_int64
        calls.circuit_run.argtypes = [pointer, pointer, pointer, count, ctypes.c_uint64, pointer]
        calls.circuit_run.restype = count
    except AttributeError as error:
        _ctypes.dlclose(calls._handle)
        raise LibraryRefused(f"it simulates no circuit: {error}") from error
    except LibraryRefused:
        _ctypes.dlclose(calls._handle)
        raise
    return calls


def _first_that_loads(content: bytes) -> ctypes.CDLL:
    """From memory, which a read-only container has too, else from a file of this process alone."""
    problems: dict[str, None] = {}
    for place in (_in_memory, _in_a_file):
        path = ""
        try:
            with place(content) as path:
                return ctypes.CDLL(path)
        except (OSError, AttributeError) as error:  # there is no memory file but on Linux
            problems[" ".join(str(error).split()).removeprefix(f"{path}: ")] = None
    raise LibraryRefused("; ".join(problems))


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    number = os.memfd_create("circuit", os.MFD_CLOEXEC)
    try:
        with open(number, "wb", closefd=False) as file:
            file.write(content)
        # The loader takes a path that it knows for the library that it has: no two are spelt alike.
        yield f"/proc/self/fd{'/.' * (next(_serials) % _MOST_DOTS)}/{number}"
    finally:
        os.close(number)


@contextmanager
def _in_a_file(content: bytes) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="dray-circuit-") as folder:
        path = Path(folder) / "circuit.so"
        path.write_bytes(content)
        yield str(path)
