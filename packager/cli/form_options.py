"""The options of the form that a model is packaged in: optimised, quantised, or a circuit."""

from pathlib import Path
from typing import Annotated, Any

import typer

from packager.cli.common import Options


def _option(kind: Any, *flags: str, **about: Any) -> Any:
    return Annotated[kind, typer.Option(*flags, **about)]


# By the name that packager.package has for it: how the command line says it, and the default.
FORM_OPTIONS: Options = {
    "optimize": (
        _option(
            bool,
            "--optimize",
            help="Package the best form of the graph that answers the same (onnxslim, ONNX Runtime offline).",
        ),
        False,
    ),
    "quantize": (
        _option(
            str | None,
            "--quantize",
            metavar="KIND",
            help="int8 (the best form), int8-static, int8-dynamic or fp16; measured, and gated by --min-agreement.",
        ),
        None,
    ),
    "min_agreement": (
        _option(
            float | None,
            "--min-agreement",
            metavar="X",
            help="Refuse a form that agrees with the source in less than this share, 0 to 1; 0.99, 0.98 of a circuit.",
        ),
        None,
    ),
    "calibration": (
        _option(
            Path | None,
            "--calibration",
            metavar="FILE",
            help="Rows that set the ranges of int8; those of --samples where left out.",
        ),
        None,
    ),
    "circuit": (
        _option(
            bool,
            "--circuit",
            help="Make a verified circuit of the model, for an FPGA; its simulation answers when it is served.",
        ),
        False,
    ),
    "bits": (
        _option(
            int | None,
            "--bits",
            metavar="N",
            help="Bits of a circuit's numbers, 2 to 16; the fewest that agree with the source where left out.",
        ),
        None,
    ),
    "max_luts": (
        _option(
            int | None,
            "--max-luts",
            metavar="N",
            help="Refuse a circuit that needs more look-up tables, by an estimate; 150000 where left out.",
        ),
        None,
    ),
    "truth": (
        _option(
            Path | None,
            "--truth",
            metavar="FILE",
            help="The right label of each row of --samples, to measure accuracy: .npy, .npz, .csv or .json.",
        ),
        None,
    ),
    "part": (
        _option(
            str | None,
            "--part",
            metavar="NAME",
            help="The device that a circuit's project folder is made for, as its vendor calls it.",
        ),
        None,
    ),
    "clock_ns": (
        _option(
            float | None,
            "--clock-ns",
            metavar="X",
            help="Period of its clock in nanoseconds, which the vendor's tool has to confirm; 5 where left out.",
        ),
        None,
    ),
    "synthesize": (
        _option(
            bool,
            "--synthesize",
            help="Have yosys count a circuit's cells and ask its netlist all rows, too; takes minutes.",
        ),
        False,
    ),
}
