"""Amounts as Kubernetes writes them: ``500m``, ``1Gi``, ``25%``."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_BINARY: Final = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL: Final = {
    "m": Decimal("0.001"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
}


def parsed(text: str | float) -> Decimal:
    """Raises ValueError: it is no quantity."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    unit = match[2] or ""
    scale = _BINARY.get(unit) or _DECIMAL.get(unit)
    if scale is None:
        return Decimal(match[1] + unit)
    return Decimal(match[1]) * scale


def share(value: int | str, whole: int, *, up: bool) -> int:
    """A number, or a percentage of the whole, rounded up or down."""
    if isinstance(value, int):
        return value
    part = Decimal(value.removesuffix("%")) * whole / 100
    return int(part.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))
