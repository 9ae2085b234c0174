"""What a quantised package is held to when it runs: the source's answers, and how near to them it declares to come.

Integers do not add up to the same floats on every processor, so what is declared is twice the errors on the test data:
the largest, and the root of the mean square, which a model that is a little off everywhere does not meet. The test data
are rows on which the quantised model comes near to its source (nine in ten do) and whose labels are no close call: the
nearer the tolerance, the surer is a wrong model found.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.convert import cases
from packager.convert.feeding import Arrays, chosen_rows, row_count, run_in_batches
from packager.convert.judgement import Checks
from packager.core.conversion import TestCase
from packager.core.errors import GateFailed
from packager.transform.subject import Subject
from packager.transform.trial import Trial
from runtime.contract.closeness import Closeness, compare_answer
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import OutputTolerance
from runtime.contract.tensors import TensorFile, load_tensor

Array = NDArray[Any]
MARGIN = 2.0
_NEAR_SHARE = 0.9


def held_to(subject: Subject, trial: Trial) -> tuple[tuple[TestCase, ...], dict[str, OutputTolerance]]:
    """Test data with the source's answers, and a tolerance for every output of floats.

    Raises:
        GateFailed: No test data would tell the model from a wrong one.
    """
    for found in _possible(subject, trial):
        errors = _replayed(trial, found)
        if errors is not None:
            tolerances = {name: _tolerance(error, subject.checks) for name, error in errors.items()}
            _check_sharp(subject, found, tolerances)
            return found, tolerances
    raise GateFailed(
        f"{trial.variant.name} gives other labels than the source on the rows that a package is tested with",
        hint="package it without --quantize, or give other rows with --samples",
    )


def _possible(subject: Subject, trial: Trial) -> Iterator[tuple[TestCase, ...]]:
    """Test data to choose from, the best first."""
    graph = subject.graph
    if graph.single_call:
        yield subject.result.test_cases
    elif graph.rows_per_call is not None:
        size = graph.rows_per_call
        for start in range(0, row_count(subject.feeds) - size + 1, size):
            feeds, expected = (
                chosen_rows(side, slice(start, start + size)) for side in (subject.feeds, subject.expected)
            )
            yield (cases.whole_case(graph.signature, feeds, expected),)
    else:
        yield _cases(subject, trial, cases.SIZES)
        yield _cases(subject, trial, (1,))


def _cases(subject: Subject, trial: Trial, sizes: tuple[int, ...]) -> tuple[TestCase, ...]:
    usable, error = _near_rows(subject.expected, trial.runs)
    return cases.make_cases(
        subject.graph.signature,
        subject.feeds,
        subject.expected,
        usable=usable,
        sizes=sizes,
        margin=max(cases.MARGIN, 2 * MARGIN * error),
    )


def _near_rows(expected: Arrays, runs: tuple[Arrays, ...]) -> tuple[NDArray[np.bool_], float]:
    """Rows with the source's labels and none of the largest errors; and the largest error among them."""
    rows = len(next(iter(expected.values())))
    usable, largest = np.ones(rows, bool), 0.0
    for name, want in expected.items():
        if runs[0][name].dtype.kind != "f":
            for run in runs:
                usable &= (want.astype(str) == run[name].astype(str)).reshape(rows, -1).all(axis=1)
            continue
        errors = np.max([_row_errors(want, run[name]) for run in runs], axis=0)
        limit = float(np.quantile(errors, _NEAR_SHARE, method="higher"))
        usable &= errors <= limit
        largest = max(largest, limit)
    return usable, largest


def _row_errors(want: Array, got: Array) -> Array:
    left, right = want.astype(np.float64), got.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0.0, np.abs(left - right))
    result: Array = error.reshape(len(error), -1).max(axis=1)
    return result


@dataclass(frozen=True, slots=True)
class _Error:
    """The largest error of an output, and the largest root of the mean square, over the test data sets."""

    largest: float = 0.0
    rms: float = 0.0

    def with_one_more(self, seen: Closeness) -> "_Error":
        return _Error(max(self.largest, seen.max_abs_error or 0.0), max(self.rms, seen.rms_error or 0.0))


def _tolerance(error: _Error, checks: Checks) -> OutputTolerance:
    return OutputTolerance(
        atol=max(checks.atol, _rounded_up(MARGIN * error.largest)),
        rtol=checks.rtol,
        rms=max(checks.atol, _rounded_up(MARGIN * error.rms)),
    )


def _replayed(trial: Trial, found: tuple[TestCase, ...]) -> dict[str, _Error] | None:
    """The errors by output over the test data, as they may be replayed; None where a label is another.

    Where rows must not share a run, whoever serves them may ask for each alone.
    """
    if (graph := trial.graph) is None:
        return None
    errors: dict[str, _Error] = {}
    for case in found:
        feeds = {tensor.name: _array(tensor) for tensor in map(load_tensor, case.inputs)}
        alone = graph.signature.batch_dim is not None and not trial.variant.batchable
        for size in (row_count(feeds), 1) if alone else (row_count(feeds),):
            answers = run_in_batches(graph.session, feeds, size)
            for expected in map(load_tensor, case.outputs):
                actual = answers[expected.name]
                seen = compare_answer(expected, actual.reshape(-1).tolist(), actual.shape, atol=math.inf, rtol=0)
                if seen.problem is not None:
                    return None
                if DTYPES[expected.dtype].is_float:
                    errors[expected.name] = errors.get(expected.name, _Error()).with_one_more(seen)
    return errors


def _check_sharp(subject: Subject, found: tuple[TestCase, ...], tolerances: Mapping[str, OutputTolerance]) -> None:
    """Refuse test data that a model with one answer to everything would pass.

    Raises:
        GateFailed: The declared tolerances reach from one end of the source's answers to the other.
    """
    for index, spec in enumerate(subject.graph.signature.outputs):
        if not DTYPES[spec.dtype].is_float:
            return  # labels are compared for equality
        held, expected = tolerances[spec.name], load_tensor(found[-1].outputs[index])
        if held.atol <= subject.checks.atol:
            return
        answers = np.asarray(subject.expected[spec.name], np.float64)
        middle = answers.mean(axis=0) if subject.graph.signature.batch_dim is not None else answers.mean()
        same = np.broadcast_to(middle, expected.shape).reshape(-1).tolist()
        if compare_answer(expected, same, expected.shape, atol=held.atol, rtol=held.rtol, rms=held.rms).problem:
            return
    raise GateFailed(
        "the quantised model errs by as much as the source's answers differ from one another, so that its test data"
        " would pass a wrong model",
        hint="package it without --quantize, or give rows with different answers with --samples FILE",
        detail={"tolerances": {name: held.model_dump() for name, held in tolerances.items()}},
    )


def _array(tensor: TensorFile) -> Array:
    if isinstance(tensor.values, tuple):
        texts: Array = np.array([value.decode() for value in tensor.values], dtype=object)
        return texts.reshape(tensor.shape)
    return np.frombuffer(tensor.values, DTYPES[tensor.dtype].numpy).reshape(tensor.shape)


def _rounded_up(value: float) -> float:
    """Two significant digits, never less: small differences of measurement give the same package."""
    if value <= 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.1e}")
