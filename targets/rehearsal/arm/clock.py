"""The time, as Azure writes it."""

from datetime import UTC, datetime


def precise_now() -> str:
    """As operations have it: seven digits of a second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
