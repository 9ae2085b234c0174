"""What a manifest and a certificate say of a circuit: what it takes and gives, and what was proven of it.

A circuit stands between two parts of its model that stay on the host: ``before`` ends in the tensor that the circuit
takes, ``after`` begins with the one that it gives. Either is absent where the host has nothing to do.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from runtime.contract.persisted import Persisted, RelativePath, Sha256
from runtime.contract.transformation import OutputAgreement

# Where the libraries that simulate a circuit lie in a package: evidence, for they differ from compiler to compiler.
SIMULATIONS: Final = "simulation"
PLATFORM: Final = "rtl-simulation"

Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]


def _among_simulations(path: str) -> str:
    if PurePosixPath(path).parts[0] != SIMULATIONS or path == SIMULATIONS:
        raise ValueError(f"a simulation lies in {SIMULATIONS}/, and {path!r} does not")
    return path


class CircuitPort(Persisted):
    """The integers of one side of a circuit.

    Attributes:
        tensor: The tensor of the ONNX graph that they stand for, with values ``integer * 2 ** -fraction``.
        shape: Of one row.
        bits: Of one integer, its sign included; what the host quantises saturates there, rounded half up, NaN as 0.
        shift: Bits to the left by which an integer is what the simulation gives (to the right where negative).
    """

    tensor: Annotated[str, Field(min_length=1)]
    shape: tuple[Positive, ...]
    bits: Annotated[int, Field(strict=True, ge=1, le=62)]
    signed: bool
    fraction: Annotated[int, Field(strict=True)]
    shift: Annotated[int, Field(strict=True)] = 0


class CircuitModel(Persisted):
    """A model as a circuit; paths are relative to the package.

    Attributes:
        name: Its Verilog module; ``NAME_stream`` has the AXI-Stream ports.
        bits: Of the weights and of the numbers between layers, as they were chosen.
        before, after: The host's parts, as ONNX.
        project: Folder for the vendor's tool: sources, constraints, script; made for the device ``part`` and a clock of
            the period ``clock_ns``, which that tool has to confirm.
        asked, answered: Rows of integers and the reference's answers (``.npy``), for the self-test, bit for bit.
        latency_cycles: From a row's acceptance to its answer. ``initiation_interval``: cycles between two rows.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
    bits: Positive
    input: CircuitPort
    output: CircuitPort
    before: RelativePath | None = None
    after: RelativePath | None = None
    project: RelativePath
    part: Annotated[str, Field(min_length=1)]
    clock_ns: Annotated[float, Field(gt=0)]
    asked: RelativePath
    answered: RelativePath
    latency_cycles: Positive
    initiation_interval: Positive = 1


class Resources(Persisted):
    """What a circuit takes of a device, and who says so.

    Attributes:
        by: Such as ``alkaid (estimate)`` or ``yosys 0.64 synth_xilinx (synthesised, not placed)``.
        flip_flops, dsps: None where this source does not tell.
    """

    by: str
    luts: Count
    flip_flops: Count | None = None
    dsps: Count | None = None


class Accuracy(Persisted):
    """Share of rows that are right by the truth that the user gave, in the output named."""

    rows: Positive
    output: str
    before: Annotated[float, Field(ge=0, le=1)]
    after: Annotated[float, Field(ge=0, le=1)]


class Simulation(Persisted):
    """A library that simulates the circuit, for one platform such as ``linux/amd64``.

    Attributes:
        made_by: Versions of what built it, by name.
    """

    platform: str
    path: Annotated[RelativePath, AfterValidator(_among_simulations)]
    sha256: Sha256
    made_by: Mapping[str, str]


class CircuitEvidence(Persisted):
    """What was found of a circuit, on all samples unless it says otherwise.

    Attributes:
        agreement: With the original model, by output name; ``min_agreement`` is the gate that it passed.
        calibration_rows: Samples that set the scales.
        accuracy: None where nobody gave the truth.
        tried: Agreement by bits, of the widths that were tried.
        compared: Rows of integers whose simulated answers equal the reference's bit for bit.
        netlist_compared: Of these rows, those that the synthesised netlist answers alike; None where there is none.
        cycles: That the simulation took for them, one after the other.
        mutants, caught: Circuits with one broken adder that were interpreted, and that the same rows noticed.
        broken_rtl: Whether a broken circuit's Verilog was noticed too; None where none was built.
        resources: Each with who says so.
    """

    agreement: Mapping[str, OutputAgreement]
    min_agreement: float
    calibration_rows: Count
    accuracy: Accuracy | None = None
    tried: Mapping[str, float]
    compared: Count
    cycles: Count
    netlist_compared: Count | None = None
    mutants: Count
    caught: Count
    broken_rtl: bool | None = None
    resources: tuple[Resources, ...]
    simulations: tuple[Simulation, ...] = ()

    def simulation(self, platform: str) -> Simulation | None:
        """The library for a platform."""
        return next((each for each in self.simulations if each.platform == platform), None)
