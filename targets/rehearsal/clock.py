"""The time, as clouds write it."""

from datetime import UTC, datetime


def now() -> str:
    """To the second, UTC, with a Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
