"""The root of dray's errors, and the family for packages, which builder and server both read."""

from collections.abc import Mapping
from typing import Any, ClassVar


class DrayError(Exception):
    """A failure that dray foresaw: what happened, why, and what to do now.

    Attributes:
        code: Stable across releases; scripts may match on it.
        message: One line, lower case, no full stop, with the offending value.
        hint: The next move of the person who reads it; may be empty.
        detail: Facts for machines (JSON-serialisable).
    """

    code: ClassVar[str] = "E-UNEXPECTED"

    def __init__(self, message: str, *, hint: str = "", detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail: dict[str, Any] = dict(detail or {})

    def as_dict(self) -> dict[str, Any]:
        """The error object that ``-o json`` prints under ``error``."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "detail": self.detail}


class PackageError(DrayError):
    """A model package cannot be used as it stands."""

    code = "E-PACKAGE"


class PackageMissing(PackageError):
    """There is no model package at this path."""

    code = "E-PACKAGE-MISSING"


class PackageInvalid(PackageError):
    """A file of the package does not follow the format."""

    code = "E-PACKAGE-INVALID"


class PackageDamaged(PackageError):
    """A file of the package is not the one that was packaged: its digest differs, or it is absent or extra."""

    code = "E-PACKAGE-DIGEST"
