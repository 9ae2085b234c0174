"""The source's answers against ONNX Runtime's, vectorised; the rule is that of ``runtime.contract.closeness``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.core.errors import ParityError
from runtime.contract.certificate import Comparison, Label, OutputDeviation

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """|actual - expected| <= atol + rtol * |expected|; everything but floats must be equal."""

    atol: float
    rtol: float


def compare(expected: Mapping[str, Array], answers: Sequence[Mapping[str, Array]], tolerance: Tolerance) -> Comparison:
    """How far the answers are from the expected, over all rows and all runs.

    Args:
        expected: By output name, one row a sample; outputs that it lacks are not compared.
        answers: What ONNX Runtime gave for the same rows, one entry a batch size.

    Raises:
        ParityError: An output has another shape than expected.
    """
    return Comparison(
        outputs={
            name: _deviation(name, wanted, [run[name] for run in answers], tolerance)
            for name, wanted in expected.items()
        }
    )


def within_tolerance(
    expected: Mapping[str, Array], answers: Sequence[Mapping[str, Array]], tolerance: Tolerance
) -> NDArray[np.bool_]:
    """By row, whether every output of every run is right; of the length of the expected answers."""
    right = np.ones(len(next(iter(expected.values()))), bool)
    for name, wanted in expected.items():
        for run in answers:
            is_float = run[name].dtype.kind == "f" and wanted.dtype.kind in "fiub"
            wrong = (
                _floats(wanted, run[name], tolerance).rows_over if is_float else _by_row(_unequal(wanted, run[name]))
            )
            right &= ~wrong
    return right


def _deviation(name: str, expected: Array, runs: Sequence[Array], tolerance: Tolerance) -> OutputDeviation:
    for run in runs:
        if run.shape != expected.shape:
            raise ParityError(
                f"output {name!r} has the shape {list(run.shape)}, the source answers {list(expected.shape)}",
                hint="the conversion does not give the source's output; report it with the model's class",
                detail={"output": name},
            )
    is_float = runs[0].dtype.kind == "f" and expected.dtype.kind in "fiub"
    parts = [(_floats if is_float else _equal)(expected, run, tolerance) for run in runs]
    worst = max(parts, key=lambda part: part.excess)
    return OutputDeviation(
        rows=len(expected),
        max_abs_error=_largest(part.max_abs_error for part in parts),
        max_rel_error=_largest(part.max_rel_error for part in parts),
        rows_over=int(np.logical_or.reduce([part.rows_over for part in parts]).sum()),
        labels_differing=max(part.labels_differing for part in parts),
        worst_row=worst.row,
        expected=worst.expected,
        actual=worst.actual,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """One output in one run; ``excess`` is the worst error in units of the tolerance."""

    rows_over: NDArray[np.bool_]
    excess: float = 0.0
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    labels_differing: int = 0
    row: int | None = None
    expected: Label | None = None
    actual: Label | None = None


def _floats(expected: Array, actual: Array, tolerance: Tolerance) -> _Part:
    # Longer floats would not change the verdict of the smoke test, which computes in float64.
    want, got = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(all="ignore"):
        same = (want == got) | (np.isnan(want) & np.isnan(got))
        error = np.where(same, 0.0, np.abs(got - want))
        allowed = tolerance.atol + tolerance.rtol * np.abs(want)
        excess = np.where(np.isfinite(error) & (allowed > 0), error / allowed, np.inf)
        excess = np.where(same, 0.0, excess)
        relative = np.where(want != 0, error / np.abs(want), np.nan)
    finite = np.isfinite(want) & np.isfinite(got)
    row, place = _worst_place(np.where(same, -1.0, np.where(excess > 0, excess, np.abs(error))))
    return _Part(
        rows_over=_by_row(excess > 1),
        excess=float(excess.max(initial=0.0)),
        max_abs_error=_maximum(error[finite]),
        max_rel_error=_maximum(relative[finite & (want != 0)]),
        row=row,
        expected=None if place is None else label_of(want[place]),
        actual=None if place is None else label_of(got[place]),
    )


def _equal(expected: Array, actual: Array, _: Tolerance) -> _Part:
    wrong = _unequal(expected, actual)
    row, place = _worst_place(np.where(wrong, 1.0, -1.0))
    return _Part(
        rows_over=np.zeros(len(expected), bool),
        excess=np.inf if wrong.any() else 0.0,
        labels_differing=int(wrong.sum()),
        row=row,
        expected=None if place is None else label_of(expected[place]),
        actual=None if place is None else label_of(actual[place]),
    )


def _unequal(expected: Array, actual: Array) -> NDArray[np.bool_]:
    """Where two tensors of labels differ; a text never equals a number, nor True 1."""
    texts = [array.dtype.kind in "OUS" for array in (expected, actual)]
    if texts[0] != texts[1] or (expected.dtype.kind == "b") != (actual.dtype.kind == "b"):
        return np.ones(expected.shape, bool)
    if texts[0]:
        return np.asarray(expected.astype(str) != actual.astype(str))
    return np.asarray(expected != actual)


def _worst_place(badness: Array) -> tuple[int | None, tuple[int, ...] | None]:
    """Row and full index of the largest entry; none where all are negative."""
    if badness.size == 0 or badness.max() < 0:
        return None, None
    place = tuple(int(index) for index in np.unravel_index(int(badness.argmax()), badness.shape))
    return (place[0] if place else 0), place


def label_of(value: Any) -> Label:
    """A value as the certificate holds it; NaN and infinity as text, which JSON has no numbers for."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bytes):
        return plain.decode("utf-8", "replace")
    if isinstance(plain, float) and not np.isfinite(plain):
        return str(plain)
    return plain if isinstance(plain, bool | int | float | str) else str(plain)


def _by_row(over: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(over.reshape(len(over), -1).any(axis=1), bool)


def _maximum(values: Array) -> float | None:
    # The difference of two finite float64 may be infinite, which JSON does not have.
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else None


def _largest(values: Any) -> float | None:
    return max((value for value in values if value is not None), default=None)


def check_conversion(comparison: Comparison, *, hint: str) -> None:
    """Refuse a conversion that answers differently on the same values.

    Raises:
        ParityError: Names output, row, both values, and how many rows and labels differ.
    """
    if not comparison.passed:
        raise _refusal(comparison, "for the same values", "conversion", hint)


def check_user_visible(comparison: Comparison, *, accepted: bool) -> bool:
    """Refuse a model whose users would see other answers than the source gives; True when that was accepted.

    Raises:
        ParityError: As for ``check_conversion``; not when ``accepted``.
    """
    if comparison.passed:
        return False
    if accepted:
        return True
    hint = (
        "the original values do not fit into the ONNX input type; scale or shift such columns before training"
        " (a timestamp to days since a date), or take the loss knowingly with --accept-precision-loss"
    )
    raise _refusal(comparison, "for the original values, before they are cast to its input type", "user_visible", hint)


def _refusal(comparison: Comparison, feeding: str, which: str, hint: str) -> ParityError:
    name, worst = max(comparison.outputs.items(), key=lambda item: _severity(item[1]))
    counts = [f"{worst.rows_over} of {worst.rows} rows over tolerance"] if worst.rows_over else []
    counts += [
        f"{deviation.labels_differing} of {deviation.rows} values of {output!r} differ"
        for output, deviation in comparison.outputs.items()
        if deviation.labels_differing
    ]
    return ParityError(
        f"ONNX answers {name!r} in row {worst.worst_row} with {worst.actual!r}, the source with {worst.expected!r}"
        f" {feeding}: {'; '.join(counts) or 'there was nothing to compare'}",
        hint=hint,
        detail={"comparison": which, "output": name, **worst.model_dump(mode="json")},
    )


def _severity(deviation: OutputDeviation) -> tuple[bool, int, float]:
    over = deviation.rows_over + deviation.labels_differing
    return (not deviation.passed, over, deviation.max_abs_error or 0.0)
