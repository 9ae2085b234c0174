"""The time, as Kubernetes writes it."""

from datetime import UTC, datetime

from targets.rehearsal.clock import now


def shown(moment: str) -> str:
    """A time of ISO 8601 as Kubernetes writes it; the present where it is none."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return now()


def parsed(moment: str) -> datetime:
    """Of one that Kubernetes wrote."""
    return datetime.fromisoformat(moment)
