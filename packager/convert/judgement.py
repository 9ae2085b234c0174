"""How strictly a conversion is judged."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Tolerances and what the user takes upon himself.

    Attributes:
        atol, rtol: A float is right where |actual - expected| <= atol + rtol * |expected|.
        seed: Of the shuffles in the batch-safety proof.
        expected: The source's answers by output name, in place of the converter's own reference.
        accept_precision_loss: Take answers that differ for the original values, never for the same values.
    """

    atol: float
    rtol: float
    seed: int
    expected: Path | None = None
    accept_precision_loss: bool = False
