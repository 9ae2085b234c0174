"""What --optimize, --quantize, --min-agreement and --calibration ask for."""

from dataclasses import dataclass
from pathlib import Path

from packager.core.errors import SampleError, UsageError
from packager.core.extras import require_extra

DEFAULT_MIN_AGREEMENT = 0.99
# ``int8`` takes the best form; the others name one, which is then taken even where it is slower.
QUANTIZATIONS = ("int8", "int8-dynamic", "int8-static", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One transformation, as a person asks for it.

    Attributes:
        quantize: One of ``QUANTIZATIONS``; None leaves the numbers as they are.
        min_agreement: The gate, from 0 to 1.
        calibration: Rows to set the ranges of the integers by; those of the conversion where None.
    """

    optimize: bool = False
    quantize: str | None = None
    min_agreement: float = DEFAULT_MIN_AGREEMENT
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.quantize is not None and self.quantize not in QUANTIZATIONS:
            raise UsageError(
                f"no such quantisation: {self.quantize!r}", hint=f"--quantize takes {', '.join(QUANTIZATIONS)}"
            )
        if not 0 <= self.min_agreement <= 1:
            raise UsageError(
                f"not an agreement: {self.min_agreement!r}",
                hint="--min-agreement takes a share from 0 to 1, as in 0.99",
            )
        if self.calibration is not None and not (self.quantize or "").startswith("int8"):
            raise UsageError(
                "--calibration sets the ranges of integers, and there are none without --quantize int8",
                hint="add --quantize int8, or leave --calibration out",
            )


def wanted(
    *, optimize: bool, quantize: str | None, min_agreement: float | None, calibration: Path | None
) -> Wanted | None:
    """What the options ask for; None where they ask for nothing. Judged before anything is converted.

    Raises:
        UsageError: They cannot be meant.
        SampleError: There is no calibration file.
        EnvironmentMissing: The tools are not installed.
    """
    asked = Wanted(
        optimize=optimize,
        quantize=quantize,
        min_agreement=DEFAULT_MIN_AGREEMENT if min_agreement is None else min_agreement,
        calibration=calibration,
    )
    if calibration is not None and not calibration.is_file():
        raise SampleError(f"no calibration file at {str(calibration)!r}", hint="check the path after --calibration")
    if optimize or quantize:
        require_extra("optimize")
        return asked
    if min_agreement is not None:
        raise UsageError(
            "--min-agreement judges what --optimize or --quantize made, and neither is asked for",
            hint="add one of them; a plain conversion has to agree in every row as it is",
        )
    return None
