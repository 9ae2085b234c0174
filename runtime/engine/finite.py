"""NaN and infinity, refused where the source refuses them: the graph alone would go on to some answer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.contract.manifest import TensorSpec
from runtime.errors import InvalidInput


def check_finite(spec: TensorSpec, array: NDArray[Any]) -> None:
    """Hold a tensor to what its input takes, whichever dialect brought it.

    Raises:
        InvalidInput: Names the place, and the column where it has a name.
    """
    if spec.non_finite != "nan" and np.isfinite(array).all():
        return
    refused = np.isinf(array) if spec.non_finite == "nan" else ~np.isfinite(array)
    if not refused.any():
        return
    place = [int(index) for index in np.unravel_index(int(np.argmax(refused)), array.shape)]
    named = f" (column {spec.columns[place[-1]]!r})" if spec.columns else ""
    expected = "finite numbers or NaN" if spec.non_finite == "nan" else "finite numbers"
    actual = f"{float(array[tuple(place)])} at {place}{named}"
    raise InvalidInput(
        f"input {spec.name!r} needs {expected}, as the model does, got {actual}",
        hint="fill the gaps as in training, or train the model to take them",
        detail={"tensor": spec.name, "expected": expected, "actual": actual},
    )
