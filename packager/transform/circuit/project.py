"""The folder for the vendor's tool: sources, constraints, a script that makes the Vivado project, a read-me."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packager.transform.circuit.scales import Grid
from packager.transform.circuit.simulator import sources_of
from packager.transform.circuit.tracing import Port, Rtl

# Sources of alkaid's own that every design holds; the project's read-me tells their licence.
_LIBRARY = frozenset({"binop.v", "multiplier.v", "mux.v", "negative.v", "shift_adder.v", "ternary_adder.v"})

_INPUTS = """
`inputs.csv` says how a feature becomes an integer of the input: `floor(value * 2 ** fraction + 1/2) - offset`, held at
0 and at `2 ** bits - 2`, then shifted left by `shift`. All bits set stand for a number that is missing.
"""


@dataclass(frozen=True, slots=True)
class Device:
    """What the design is made for; nothing here says that it was met."""

    part: str = "xcvu13p-flga2577-2-e"
    clock_ns: float = 5.0


def project_files(rtl: Rtl, device: Device, facts: Mapping[str, str], grid: Grid | None = None) -> dict[str, str]:
    """Files of the folder by relative path; with a ``grid``, what each number of the input stands for is told too."""
    top = f"{rtl.name}_stream"
    files = {f"src/{'alkaid/' if name in _LIBRARY else ''}{name}": text for name, text in sources_of(rtl).items()}
    if grid is not None:
        files["inputs.csv"] = grid.table()
    return {
        **files,
        f"constraints/{top}.xdc": _constraints(device),
        "vivado.tcl": _script(top, device),
        "README.md": _readme(rtl, device, facts) + (_INPUTS if grid is not None else ""),
    }


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _constraints(device: Device) -> str:
    return f"create_clock -name clk -period {device.clock_ns:g} [get_ports clk]\n"


def _script(top: str, device: Device) -> str:
    return f"""\
# Run with: vivado -mode batch -source vivado.tcl
set here [file normalize [file dirname [info script]]]
create_project {top} $here/vivado -part {device.part} -force
add_files [concat [glob $here/src/*.v] [glob $here/src/alkaid/*.v]]
add_files -fileset constrs_1 $here/constraints/{top}.xdc
set_property top {top} [current_fileset]
synth_design -top {top} -part {device.part} -mode out_of_context -retiming
report_utilization -file $here/utilization.rpt
report_timing_summary -file $here/timing.rpt
write_checkpoint -force $here/{top}_synth.dcp
"""


def _readme(rtl: Rtl, device: Device, facts: Mapping[str, str]) -> str:
    sides = {"s_axis_tdata": rtl.input, "m_axis_tdata": rtl.output}
    ports = "\n".join(f"| `{name}` | {port.width} | {_holds(port)} |" for name, port in sides.items())
    told = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return f"""\
# {rtl.name}_stream

Verilog of a model, simulated bit for bit against an integer reference. It was not synthesised by the vendor's tool and
has not run on a device: clock rate, power and the resources after placement are not known here.

`vivado -mode batch -source vivado.tcl` makes the Vivado project in `vivado/`, synthesises this module out of context,
and writes `utilization.rpt`, `timing.rpt` and a checkpoint beside the script. In the package, `../asked.npy` and
`../answered.npy` hold rows of integers and the reference's answers to them, for a test bench of your own.

| port | bits | holds |
|---|---|---|
{ports}

`clk` is asked to have a period of {device.clock_ns:g} ns ({device.part}), which the vendor's tool has to confirm;
`rst` is synchronous. A row is taken where `s_axis_tvalid` and `s_axis_tready` are both set; answers leave
in the same order.

| fact | value |
|---|---|
{told}

`src/alkaid` holds modules of alkaid under its own licence (LGPL-3.0-or-later); the other sources were generated from
the model.
"""


def _holds(port: Port) -> str:
    sign = "signed" if port.signed else "unsigned"
    return f"{port.count} {sign} integers of {port.bits} bits, the first in the lowest"
