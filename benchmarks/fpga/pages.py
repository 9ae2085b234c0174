"""The rows as a table in Markdown, as JSON, and as a plot of accuracy against look-up tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.fpga.measure import Row

_NONE = "-"


def _count(value: int | None) -> str:
    return _NONE if value is None else f"{value:,}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _seconds(name: str) -> Callable[[Row], str]:
    return lambda row: f"{row.seconds[name]:.1f}" if name in row.seconds else _NONE


def _luts(by: str) -> Callable[[Row], str]:
    return lambda row: _count(row.luts.get(by))


COLUMNS: Mapping[str, Callable[[Row], str]] = {
    "model": lambda row: row.model,
    "bits": lambda row: str(row.bits),
    "accuracy before": lambda row: _share(row.before),
    "after": lambda row: _share(row.after),
    "agreement": lambda row: _share(row.agreement),
    "LUT: dray's estimate": _luts("dray"),
    "alkaid's estimate": _luts("alkaid"),
    "yosys": _luts("yosys"),
    "FF": lambda row: _count(row.flip_flops),
    "DSP": lambda row: _count(row.dsps),
    "cycles": lambda row: _count(row.cycles),
    "II": lambda row: _count(row.interval),
    "rows bit-exact": lambda row: _count(row.compared),
    "of the netlist": lambda row: _count(row.netlist_compared),
    "mutants caught": lambda row: f"{row.caught}/{row.mutants}",
    "samples/s": lambda row: f"{row.samples_per_s or 0:,.0f}",
    "trace s": _seconds("trace"),
    "simulation s": _seconds("simulation"),
    "yosys s": _seconds("synthesis"),
}


def table(rows: Sequence[Row]) -> str:
    """Rows of circuits, and below them what was refused and why."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell(row) for cell in COLUMNS.values()) + " |" for row in rows if not row.refused]
    refusals = [
        f"* {row.model}, {row.bits} bits: refused after {row.seconds.get('refused', 0):.1f} s: {row.refused}"
        for row in rows
        if row.refused
    ]
    return "\n".join([*lines, "", *refusals]) + "\n"


def page(rows: Sequence[Row], subjects: Mapping[str, str], machine: str, plot: str | None) -> str:
    """The whole report."""
    told = "\n".join(f"* {name}: {what}" for name, what in subjects.items())
    shown = f"\n![Accuracy against look-up tables, by bits]({plot})\n" if plot else ""
    return f"""\
# Networks as circuits, over bit widths

Written by `make fpga-report`, its rows measured in one run or in several,
on {machine}. Nothing ran on an FPGA:
answers are those of the simulated Verilog. Look-up tables are estimates of dray and alkaid,
or the cells LUT1 to LUT6 and memories that yosys'
`synth_xilinx` made for UltraScale+: synthesised, not placed; placement can put two small tables into one. Accuracy
is on rows that were not trained on; half of them set the scales. Cycles: from a row's offer to its answer. Seconds and
samples/s are of processor time; "simulation s" is Verilator's build and all that was compared, "yosys s" also the
evaluation of its netlist, on the same rows.

{told}

{table(rows)}{shown}"""


def document(rows: Sequence[Row], subjects: Mapping[str, str], machine: str) -> str:
    """The same as JSON."""
    found = {"machine": machine, "subjects": dict(subjects), "rows": [row.document() for row in rows]}
    return json.dumps(found, indent=1) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Accuracy against look-up tables by alkaid, and by yosys where it ran, a line for each model."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "dray", "svg.fonttype": "none"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name in dict.fromkeys(row.model for row in rows):
        mine = [row for row in rows if row.model == name and row.after is not None and "alkaid" in row.luts]
        if not mine:
            continue
        (line,) = axes.plot([row.luts["alkaid"] for row in mine], [row.after for row in mine], "o-", label=name)
        axes.axhline(mine[0].before or 0, color=line.get_color(), linestyle=":", linewidth=1)
        for row in mine:
            axes.annotate(
                f"{row.bits}", (row.luts["alkaid"], row.after or 0), xytext=(4, 4), textcoords="offset points"
            )
        synthesised = [row for row in mine if "yosys" in row.luts]
        axes.plot([row.luts["yosys"] for row in synthesised], [row.after for row in synthesised], "s", mfc="none",
                  color=line.get_color())  # fmt: skip
    axes.set(xscale="log", xlabel="look-up tables (circles: alkaid's estimate; squares: yosys)", ylabel="accuracy")
    axes.set_title("Accuracy by look-up tables; numbers are bits, dotted: the original")
    axes.legend(frameon=False, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
