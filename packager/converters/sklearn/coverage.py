"""How much of a model a set of samples exercises: leaves of its trees, categories of its encoders, its classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from packager.converters.sklearn.knowledge import Encoder
from packager.converters.sklearn.trees import Grove
from runtime.contract.certificate import Coverage, Share

WEAK_BELOW = 0.95


def coverage_of(
    matrix: Any, groves: Sequence[Grove], encoders: Sequence[Encoder], *, classes: Any, labels: Any
) -> Coverage:
    """What the samples reached; weak where a measure is under 95 %.

    Args:
        matrix: The samples, (rows, columns).
        groves: After they have seen the samples.
        classes: Of a classifier, else None. ``labels``: its answers.
    """
    measures: dict[str, Share] = {}
    if groves:
        total = sum(grove.leaves_total for grove in groves)
        measures["leaves"] = Share(reached=sum(grove.leaves_reached for grove in groves), total=total)
    if counted := [encoder for encoder in encoders if encoder.counted]:
        measures["categories"] = _categories(matrix, counted)
    if classes is not None and np.ndim(labels) == 1:
        measures["classes"] = Share(reached=len(np.intersect1d(classes, labels)), total=len(classes))
    return rated(measures)


def rated(measures: dict[str, Share]) -> Coverage:
    """The measures with a verdict on them."""
    thin = [
        f"{share.reached} of {share.total} {name} reached"
        for name, share in measures.items()
        if share.reached < WEAK_BELOW * share.total
    ]
    return Coverage(measures=measures, weak=bool(thin), reason="; ".join(thin))


def _categories(matrix: Any, encoders: Sequence[Encoder]) -> Share:
    values = np.asarray(matrix, np.float64)
    reached = total = 0
    for encoder in encoders:
        for column, categories in encoder.categories.items():
            total += len(categories)
            reached += int(np.isin(categories, values[:, column]).sum())
    return Share(reached=reached, total=total)
