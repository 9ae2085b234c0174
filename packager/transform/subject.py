"""The model that is to be changed, the rows that it is judged on, and the source's answers to them."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.convert.feeding import Arrays, batch_sizes, chosen_rows, row_count, run_in_batches
from packager.convert.graph import CheckedGraph, check_graph
from packager.convert.judgement import Checks
from packager.convert.verification import SIZES, Evidence, gather
from packager.core.conversion import ConversionResult, RawConversion
from packager.core.errors import ConversionError
from runtime.preprocessing.tokenization import Tokenizer

Array = NDArray[Any]
# More rows change no share of rows by much, and every form of the model has to answer them all.
MAX_ROWS = 2000
_CALIBRATION_ROWS = 256
_CALL_ROWS = 16
TIMED_SIZES = (1, 64)


@dataclass(frozen=True, slots=True)
class Subject:
    """A verified conversion, ready to be compared with changed forms of itself.

    Attributes:
        expected: The source's answers to the feeds; the conversion's own where there is no source.
        sizes: Batch sizes to compare at.
    """

    result: ConversionResult
    raw: RawConversion
    checks: Checks
    graph: CheckedGraph
    evidence: Evidence
    expected: Arrays
    sizes: tuple[int, ...]

    @property
    def feeds(self) -> Arrays:
        """The rows, in the types of the inputs."""
        return self.evidence.feeds


def subject_of(result: ConversionResult, checks: Checks) -> Subject:
    """The subject of a conversion whose files are still there."""
    raw = result.raw
    if raw is None:
        raise ConversionError("the conversion left nothing to compare a changed model with", hint="convert it again")
    graph = checked(raw, raw.onnx)
    evidence = _thinned(gather(raw, graph, checks.expected))
    sizes = batch_sizes(graph, evidence.feeds, SIZES if result.batch_safety.batchable else SIZES[:1])
    expected = evidence.cast
    if expected is None:
        expected = run_in_batches(graph.session, evidence.feeds, sizes[0])
    return Subject(result, raw, checks, graph, evidence, expected, sizes)


def checked(raw: RawConversion, path: Path) -> CheckedGraph:
    """The conversion's graph, or a form of it with the tokenizer laid beside it, after the checker and a load.

    Raises:
        ModelInvalid, ConversionError: It is none that can be used.
    """
    if (step := raw.preprocessing) is not None and path.parent != raw.onnx.parent:
        shutil.copyfile(raw.onnx.parent / step.path, path.parent / step.path)
    return check_graph(path, columns=raw.columns, non_finite=raw.non_finite, preprocessing=raw.preprocessing)


def graph_call(raw: RawConversion, feeds: Arrays) -> Arrays:
    """Inputs of one run as the graph itself takes them: token ids in place of texts, else as they are."""
    if (step := raw.preprocessing) is None:
        return feeds
    tokenizer = Tokenizer(step, (raw.onnx.parent / step.path).read_bytes())
    return dict(tokenizer.padded(tokenizer.encode(feeds)))


def calls_of(graph: CheckedGraph, feeds: Arrays) -> list[Arrays]:
    """Some rows, evenly spaced, as the calls that a calibration makes."""
    if graph.single_call:
        return [feeds]
    rows = row_count(feeds)
    size = graph.rows_per_call or _CALL_ROWS
    kept = np.linspace(0, rows - 1, min(rows, _CALIBRATION_ROWS)).astype(np.int64)
    whole = len(kept) - len(kept) % size if graph.rows_per_call else len(kept)
    return [chosen_rows(feeds, kept[start : start + size]) for start in range(0, whole, size)]


def timed_calls(subject: Subject) -> dict[str, Arrays]:
    """Inputs of one run, by the batch sizes that latency is measured at."""
    sizes = batch_sizes(subject.graph, subject.feeds, TIMED_SIZES)
    if subject.graph.single_call:
        return {str(sizes[0]): subject.feeds}
    rows = row_count(subject.feeds)
    chosen = {str(size): chosen_rows(subject.feeds, np.arange(size) % rows) for size in sizes}
    return {size: graph_call(subject.raw, feeds) for size, feeds in chosen.items()}


def _thinned(evidence: Evidence) -> Evidence:
    rows = row_count(evidence.feeds)
    if rows <= MAX_ROWS or any(len(value) != rows for value in evidence.feeds.values()):
        return evidence
    return evidence.thinned(rows, MAX_ROWS)
