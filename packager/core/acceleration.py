"""What a runtime tells of its execution provider, for people: one sentence, the same in every report."""

from collections.abc import Mapping
from typing import Any, Final

CPU_FALLBACK: Final = "CPU FALLBACK: "


def in_words(acceleration: Mapping[str, Any]) -> str:
    """Where a model is computed; begins with ``CPU FALLBACK`` where that is not where it was asked to be.

    Args:
        acceleration: The runtime's own report, as its metadata hold it.
    """
    loud = CPU_FALLBACK if acceleration["fell_back"] else ""
    return f"{loud}{acceleration['active']}; {acceleration['summary']}"
