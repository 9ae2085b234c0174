"""What the smoke test found."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SmokeCheck:
    """One question put to the running thing.

    Attributes:
        detail: What was seen: the deviation where it passed, expected and actual where it did not.
        max_abs_error: For answers; None for the other checks and for labels.
        rows: Of test data that were compared; None for the other checks.
    """

    name: str
    passed: bool
    detail: str
    duration_ms: float
    max_abs_error: float | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class SmokeReport:
    """All checks against one deployment. Without checks nothing was shown, so an empty report is a failure."""

    checks: tuple[SmokeCheck, ...]

    @property
    def passed(self) -> bool:
        """True when there were checks and every one passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[SmokeCheck, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def as_dict(self) -> dict[str, Any]:
        """The document that ``-o json`` prints."""
        return {"passed": self.passed, "checks": [asdict(check) for check in self.checks]}
