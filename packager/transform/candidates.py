"""Which forms of a model are worth making, and how each is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from packager.convert.feeding import Arrays
from packager.transform import float16, graphs, int8
from packager.transform.facts import GraphFacts

Build = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One form of a model: a name, a line for the certificate, and what writes it to a path."""

    name: str
    step: str
    build: Build


def lossless(source: Path, *, portable: bool) -> tuple[Candidate, ...]:
    """Forms that compute the same.

    Args:
        portable: Only such as stay in standard ONNX, which the quantiser takes.
    """
    found = (
        Candidate(
            "basic",
            "basic: ONNX Runtime's offline optimisation, standard ONNX",
            partial(graphs.optimise, source, level="basic"),
        ),
        Candidate("slim", "slim: onnxslim, standard ONNX", partial(graphs.slim, source)),
        Candidate(
            "extended",
            "extended: ONNX Runtime's offline optimisation, with its own fused operators",
            partial(graphs.optimise, source, level="extended"),
        ),
    )
    return found[:2] if portable else found


def lossy(
    quantize: str, source: Path, folder: Path, facts: GraphFacts, rows: Sequence[Arrays], *, seven_bits: bool = True
) -> tuple[Candidate, ...]:
    """Forms with fewer bits, of the kind that was asked for.

    Args:
        source: The graph, optimised as far as it stays in standard ONNX.
        folder: For what is made on the way.
        rows: Calibration data.
    """
    if quantize == "fp16":
        return (Candidate("fp16", "fp16: half floats within, inputs and outputs as before", _halved(source)),)
    every = _dynamic(source, folder, facts, seven_bits) + _static(source, facts, rows, seven_bits)
    return tuple(candidate for candidate in every if candidate.name.startswith(quantize))


def _halved(source: Path) -> Build:
    return partial(float16.halve, source)


def _dynamic(source: Path, folder: Path, facts: GraphFacts, seven_bits: bool) -> tuple[Candidate, ...]:
    if not facts.products:
        return ()
    bits = 7 if seven_bits else 8
    how = f"weights of {bits} bits, one range a channel; the range of what flows is taken anew in every run"
    suffix = _suffix(seven_bits)
    plain = Candidate(
        f"int8-dynamic{suffix}",
        f"int8-dynamic: {how}",
        partial(int8.quantize_dynamic, source, seven_bits=seven_bits),
    )
    if not facts.attentive:
        return (plain,)
    fused = Candidate(
        f"int8-dynamic-fused{suffix}",
        f"int8-dynamic: after onnxruntime's transformer optimiser, {how}",
        partial(_dynamic_fused, source, folder / "fused.onnx", seven_bits),
    )
    return (plain, fused)


def _dynamic_fused(source: Path, between: Path, seven_bits: bool, out: Path) -> None:
    graphs.fuse_transformer(source, between)
    int8.quantize_dynamic(between, out, seven_bits=seven_bits)


def _static(source: Path, facts: GraphFacts, rows: Sequence[Arrays], seven_bits: bool) -> tuple[Candidate, ...]:
    if not rows:
        return ()
    methods: tuple[Literal["minmax", "percentile"], ...] = ("minmax",) if facts.attentive else ("minmax", "percentile")
    bits = 7 if seven_bits else 8
    return tuple(
        Candidate(
            f"int8-static-{method}{_suffix(seven_bits)}",
            f"int8-static: QDQ, weights of {bits} bits, one range a channel; fixed ranges of what flows ({method})",
            partial(
                int8.quantize_static,
                source,
                rows=rows,
                settings=int8.StaticSettings(method=method, seven_bits=seven_bits),
            ),
        )
        for method in methods
    )


def _suffix(seven_bits: bool) -> str:
    return "" if seven_bits else "-8bit"
