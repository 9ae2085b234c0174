"""Times as IoT Hub writes them."""

from datetime import UTC, datetime
from typing import Final

NEVER: Final = "0001-01-01T00:00:00Z"


def now() -> str:
    """UTC, with seven digits of a second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def shown(moment: str) -> str:
    """A runner's time as IoT Hub writes it; the beginning of time where there is none."""
    if not moment:
        return NEVER
    parsed = datetime.fromisoformat(moment)
    return parsed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"
