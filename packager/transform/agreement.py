"""How far a changed model agrees with its source: one number from 0 to 1 an output, by what the output is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contract.transformation import OutputAgreement

Array = NDArray[Any]
Measure = Callable[[Array, Array], float]
# Vectors as wide as this are embeddings, whose direction is what is used.
_EMBEDDING_WIDTH = 64
# What float32 itself may turn; a score that near to the highest is as high.
_TIE = 1e-5
# Answers that differ by no more than parity allows are one answer.
_CONSTANT = 1e-4


def agreement_of(
    expected: Mapping[str, Array], runs: Sequence[Mapping[str, Array]], *, labelled: frozenset[str] = frozenset()
) -> dict[str, OutputAgreement]:
    """By output name, how the answers agree with the expected ones, at the batch size where they agree least.

    Args:
        expected: The source's answers, one row a sample.
        runs: The changed model's answers to the same rows, one entry a batch size.
        labelled: Outputs of which it is known that each column is a class.
    """
    return {
        name: min(
            (_output(want, run[name], labelled=name in labelled) for run in runs),
            key=lambda found: (found.agreement, -(found.max_abs_error or 0.0)),
        )
        for name, want in expected.items()
    }


def _output(want: Array, got: Array, *, labelled: bool) -> OutputAgreement:
    if want.shape != got.shape:
        return OutputAgreement(rows=len(want), agreement=0.0, measures={"shape": 0.0})
    if want.dtype.kind not in "fiub" or got.dtype.kind != "f":
        share = round(float((want.astype(str) == got.astype(str)).mean()), 6)
        return OutputAgreement(rows=len(want), agreement=share, measures={"labels": share})
    left, right = want.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(left)
    if not np.array_equal(finite, np.isfinite(right)) or not _same(left[~finite], right[~finite]):
        return OutputAgreement(rows=len(want), agreement=0.0, measures={"finite": 0.0})
    left, right = np.where(finite, left, 0.0), np.where(finite, right, 0.0)
    error = float(np.abs(left - right).max(initial=0.0))
    measures = {name: round(measure(left, right), 6) for name, measure in _measures(left, labelled=labelled).items()}
    return OutputAgreement(
        rows=len(want),
        agreement=min(measures.values()),
        measures=measures,
        max_abs_error=error,
        worst_cosine=float(_cosines(left, right).min()) if "cosine" in measures else None,
    )


def _measures(want: Array, *, labelled: bool) -> dict[str, Measure]:
    """What counts for an output of these answers.

    Where the answers do not tell scores from quantities, both measures count: neither kind is judged too mildly.
    """
    width = want.shape[1] if want.ndim == 2 else 1
    if width == 1 or want.ndim > 2:
        probabilities = want.ndim <= 2 and want.min() >= 0 and want.max() <= 1 and np.ptp(want) > 0
        return {"classes": _same_side, "variance": _explained} if probabilities else {"variance": _explained}
    if labelled or _are_probabilities(want):
        return {"classes": _same_class}
    if width >= _EMBEDDING_WIDTH or np.allclose(np.linalg.norm(want, axis=1), 1, atol=1e-3):
        return {"cosine": lambda left, right: float(_cosines(left, right).mean())}
    return {"classes": _same_class, "variance": _explained}


def _are_probabilities(want: Array) -> bool:
    return bool(want.min() >= -_TIE and np.allclose(want.sum(axis=1), 1, atol=1e-3))


def _same_class(want: Array, got: Array) -> float:
    """Share of rows whose highest score is of a class that the source scores highest too."""
    chosen = np.take_along_axis(want, got.argmax(axis=1)[:, None], axis=1)[:, 0]
    best = want.max(axis=1)
    return float((chosen >= best - _TIE * np.maximum(1, np.abs(best))).mean())


def _same_side(want: Array, got: Array) -> float:
    return float((((want > 0.5) == (got > 0.5)) | (np.abs(want - 0.5) < _TIE)).mean())


def _explained(want: Array, got: Array) -> float:
    """1 - squared error / variance over the rows; constant answers have to be met as parity asks."""
    spread = float(((want - want.mean(axis=0)) ** 2).sum())
    error = float(((want - got) ** 2).sum())
    scale = float((want**2).sum())
    if spread <= _CONSTANT**2 * scale:
        return 1.0 if error <= _CONSTANT**2 * max(scale, 1e-2) else 0.0
    return max(0.0, 1 - error / spread)


def _cosines(want: Array, got: Array) -> Array:
    lengths = np.linalg.norm(want, axis=1) * np.linalg.norm(got, axis=1)
    both_zero = (np.linalg.norm(want, axis=1) == 0) & (np.linalg.norm(got, axis=1) == 0)
    products: Array = (want * got).sum(axis=1)
    return np.where(both_zero, 1.0, products / np.where(lengths > 0, lengths, 1.0))


def _same(left: Array, right: Array) -> bool:
    return bool(np.array_equal(left, right, equal_nan=True))
