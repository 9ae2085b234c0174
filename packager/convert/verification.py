"""Evidence about a conversion: the graph, both comparisons, the batch-safety proof, and the test cases."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from packager.convert import batching, cases
from packager.convert.feeding import Arrays, as_sent, batch_sizes, chosen_rows, row_count, run_in_batches
from packager.convert.graph import CheckedGraph, check_graph
from packager.convert.judgement import Checks
from packager.convert.parity import Tolerance, check_conversion, check_user_visible, compare, within_tolerance
from packager.core.conversion import RawConversion, Reference, TestCase
from packager.core.errors import SampleError
from packager.core.extras import versions_of
from runtime.contract.certificate import BatchSafety, Parity

Array = NDArray[Any]
SIZES = (1, 3, 64)
# Values fed in one pass; beyond it, rows are left out evenly and the certificate says so.
MAX_VALUES = 1 << 25
_CONVERSION_HINT = (
    "the ONNX operators round where the source does not: remove steps that only rescale (trees need none), or train on"
    " float32 data; if the rows are unlike yours, judge the model on your own with --samples FILE"
)
_SELF_HINT = (
    "the model answers differently with and without graph optimisations, or is random; export it without either"
)


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of a conversion that passed."""

    graph: CheckedGraph
    reference: Reference
    parity: Parity | None
    batch_safety: BatchSafety
    cases: tuple[TestCase, ...]
    versions: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rows, and what the source answers to them before and after the cast to the input types."""

    feeds: Arrays
    original: Arrays | None
    cast: Arrays | None
    reference: Reference
    notes: tuple[str, ...] = ()

    def thinned(self, rows: int, limit: int) -> "Evidence":
        """As many of the rows as ``limit``, evenly spaced."""
        kept = np.linspace(0, rows - 1, limit).astype(np.int64)
        return replace(
            self,
            feeds=chosen_rows(self.feeds, kept),
            original=chosen_rows(self.original, kept) if self.original else None,
            cast=chosen_rows(self.cast, kept) if self.cast else None,
        )


def verify(raw: RawConversion, checks: Checks) -> Verified:
    """Check the graph and compare it with the reference.

    Raises:
        ModelInvalid, ParityError, SampleError: What does not hold, and where.
    """
    graph = check_graph(raw.onnx, columns=raw.columns, non_finite=raw.non_finite, preprocessing=raw.preprocessing)
    evidence = gather(raw, graph, checks.expected)
    tolerance = Tolerance(checks.atol, checks.rtol)
    safety = batching.prove(graph, evidence.feeds, tolerance=tolerance, seed=checks.seed)
    free = SIZES if safety.batchable else SIZES[:1]
    sizes = batch_sizes(graph, evidence.feeds, free)
    runs = [run_in_batches(graph.session, evidence.feeds, size) for size in sizes]
    parity, lost = _parity(raw, evidence, runs, sizes, tolerance, checks)
    notes = evidence.notes
    if lost:
        notes = (
            *notes,
            "the source answers differently to some of the original values; accepted with --accept-precision-loss",
        )
    return Verified(
        graph=graph,
        reference=evidence.reference,
        parity=parity,
        batch_safety=safety,
        cases=_cases(graph, evidence, runs, tolerance, batchable=safety.batchable),
        versions={
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": ort.__version__,
            **(versions_of("tokenizers") if raw.preprocessing else {}),
        },
        notes=notes,
    )


def gather(raw: RawConversion, graph: CheckedGraph, expected: Path | None) -> Evidence:
    """The rows that a conversion is judged on, and the source's answers; fewer where all would take too long.

    Raises:
        SampleError: The samples or the expected answers do not fit the graph.
    """
    return _bounded(_evidence(raw, graph, expected))


def _evidence(raw: RawConversion, graph: CheckedGraph, expected: Path | None) -> Evidence:
    samples = _load(raw.samples)
    feeds = as_sent(samples, graph.signature)
    if expected is not None:
        answers = _expected(expected, graph, row_count(feeds))
        return Evidence(feeds, answers, answers, "expected-file")
    original = _load(raw.reference_original) if raw.reference_original else None
    cast = _load(raw.reference_cast) if raw.reference_cast else None
    return Evidence(feeds, original, cast, raw.reference)


def _expected(path: Path, graph: CheckedGraph, rows: int) -> Arrays:
    """The user's answers, one array an output."""
    try:
        answers = _load(path)
    except (OSError, ValueError) as error:
        raise SampleError(
            f"cannot read the expected answers {path.name!r}: {error}",
            hint="write them with numpy.savez, by output name",
        ) from error
    names = [spec.name for spec in graph.signature.outputs]
    if len(names) == len(answers) == 1:
        # One of each, of one rank, can only mean the other, whatever the file calls it.
        only = next(iter(answers.values()))
        rank = len(graph.signature.outputs[0].shape)
        answers = {names[0]: only} if only.ndim == rank or (only.ndim == rank - 1 > 1) else answers
    missing = [name for name in names if name not in answers]
    if missing:
        raise SampleError(
            f"the expected answers {path.name!r} lack the output {missing[0]!r}",
            hint=f"the model's outputs are {', '.join(names)}; the file holds {', '.join(answers) or 'nothing'}",
        )
    for spec in graph.signature.outputs:
        answer = answers[spec.name]
        # One list of all rows' steps, as some frameworks answer where the graph has an entry a row.
        if 0 < answer.ndim == len(spec.shape) - 1 and len(answer) > rows and len(answer) % rows == 0:
            answers[spec.name] = answer.reshape(rows, -1, *answer.shape[1:])
    for name in names:
        if len(np.atleast_1d(answers[name])) != rows and not graph.single_call:
            raise SampleError(
                f"the expected answers hold {len(np.atleast_1d(answers[name]))} rows of {name!r}, the samples {rows}",
                hint="give one answer a sample, in the same order",
            )
    return {name: np.atleast_1d(answers[name]) for name in names}


def _bounded(evidence: Evidence) -> Evidence:
    """The evidence without the rows that would take too long to run one by one."""
    rows = row_count(evidence.feeds)
    values = sum(value[:1].size for value in evidence.feeds.values())
    limit = max(64, MAX_VALUES // max(1, values))
    if rows <= limit or any(len(value) != rows for value in evidence.feeds.values()):
        return evidence
    note = f"{limit} of {rows} samples were compared, evenly spaced: a row has {values} values"
    return replace(evidence.thinned(rows, limit), notes=(note,))


def _parity(
    raw: RawConversion,
    evidence: Evidence,
    runs: list[Arrays],
    sizes: tuple[int, ...],
    tolerance: Tolerance,
    checks: Checks,
) -> tuple[Parity | None, bool]:
    """Both comparisons, and whether the second failed and was accepted; None where there is no source to ask."""
    if evidence.cast is None:
        return None, False
    conversion = compare(evidence.cast, runs, tolerance)
    check_conversion(conversion, hint=_SELF_HINT if evidence.reference == "self" else _CONVERSION_HINT)
    if evidence.original is None:
        return None, False
    user_visible = compare(evidence.original, runs, tolerance)
    lost = check_user_visible(user_visible, accepted=checks.accept_precision_loss)
    parity = Parity(
        samples=row_count(evidence.feeds),
        synthetic=raw.synthetic,
        seed=raw.seed,
        batch_sizes=sizes,
        atol=checks.atol,
        rtol=checks.rtol,
        coverage=raw.coverage,
        conversion=conversion,
        user_visible=user_visible,
        accepted_precision_loss=lost,
    )
    return parity, lost


def _cases(
    graph: CheckedGraph, evidence: Evidence, runs: list[Arrays], tolerance: Tolerance, *, batchable: bool
) -> tuple[TestCase, ...]:
    """Test data: the source's answers, or ONNX's own where there is no source."""
    expected = evidence.cast if evidence.cast is not None else runs[0]
    if graph.signature.batch_dim is None:
        count = graph.rows_per_call or row_count(evidence.feeds)
        feeds = {name: value[:count] for name, value in evidence.feeds.items()}
        answers = chosen_rows(runs[0], slice(None)) if graph.single_call else expected
        return (cases.whole_case(graph.signature, feeds, _first_call(graph, answers, evidence)),)
    usable = within_tolerance(expected, runs, tolerance)
    sizes = cases.SIZES if batchable else (1,)
    return cases.make_cases(graph.signature, evidence.feeds, expected, usable=usable, sizes=sizes)


def _first_call(graph: CheckedGraph, answers: Arrays, evidence: Evidence) -> Arrays:
    """Answers to the first call of a model with a fixed number of rows."""
    calls = 1 if graph.single_call else max(1, row_count(evidence.feeds) // (graph.rows_per_call or 1))
    return {name: value[: max(1, len(value) // calls)] for name, value in answers.items()}


def _load(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}
