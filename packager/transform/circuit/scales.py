"""What trees compare as integers: a power-of-two scale and an offset for each feature."""

from dataclasses import dataclass

import numpy as np

from packager.transform.circuit.network import Floats, Integers


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How the values of each feature become integers: ``floor(value * 2 ** fraction + 1/2) - offset``.

    They saturate at 0 and, with the feature's ``width`` in bits, at ``2 ** width - 2``; the integer above stands for
    NaN. All lie in the upper bits of one format, so that narrow features need no format of their own. A threshold ``t``
    becomes ``floor(t * 2 ** fraction) - offset``: a value on the grid is on the same side of it as before, and another
    is on the wrong one only within half a step of it.
    """

    widths: Integers
    fractions: Integers
    offsets: Integers

    @property
    def bits(self) -> int:
        """Of the format of all features."""
        return int(self.widths.max())

    @property
    def missing(self) -> Integers:
        """The least integer of each feature that stands for NaN."""
        return ((1 << self.widths) - 1) << self.shifts

    @property
    def shifts(self) -> Integers:
        """Bits to the left of each feature's integers."""
        return np.asarray(self.bits - self.widths, np.int64)

    def integers(self, values: Floats) -> Integers:
        """The host's rounding, in numpy; a package holds it as ONNX."""
        with np.errstate(over="ignore"):
            scaled = np.floor(np.ldexp(values, self.fractions) + 0.5) - self.offsets
        inside = np.clip(np.where(np.isnan(values), 0.0, scaled), 0, (1 << self.widths) - 2)
        return np.where(np.isnan(values), (1 << self.bits) - 1, inside.astype(np.int64) << self.shifts)

    def thresholds(self, feature: Integers, values: Floats) -> Integers:
        """The greatest integers that are at or below thresholds of these features."""
        with np.errstate(over="ignore"):
            scaled = np.floor(np.ldexp(values, self.fractions[feature])) - self.offsets[feature]
        whole = np.clip(scaled, -1, (1 << self.widths[feature]) - 2).astype(np.int64)
        return ((whole + 1) << self.shifts[feature]) - 1

    def table(self) -> str:
        """For whoever drives the circuit's port: a line for each feature (CSV)."""
        columns = self.widths, self.fractions, self.offsets, self.shifts
        lines = [",".join(map(str, (at, *line))) for at, line in enumerate(np.stack(columns, axis=1).tolist())]
        return "\n".join(["feature,bits,fraction,offset,shift", *lines, ""])
