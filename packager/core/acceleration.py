"""What a runtime tells of its execution provider, for people: one sentence, the same in every report."""

from collections.abc import Mapping
from typing import Any, Final

from packager.core.deployment import Finding

CPU_FALLBACK: Final = "CPU FALLBACK: "
CPU_FALLBACK_CODE: Final = "E-CPU-FALLBACK"


def stands_in(provider: str, why: str, hint: str) -> Finding:
    """The remark of a plan that the CPU will do what was asked of an execution provider, as is allowed."""
    return Finding(CPU_FALLBACK_CODE, f"THE CPU WILL DO THE WORK of {provider}: {why}", hint)


def in_words(acceleration: Mapping[str, Any]) -> str:
    """Where a model is computed; begins with ``CPU FALLBACK`` where that is not where it was asked to be.

    Args:
        acceleration: The runtime's own report, as its metadata hold it.
    """
    loud = CPU_FALLBACK if acceleration["fell_back"] else ""
    return f"{loud}{acceleration['active']}; {acceleration['summary']}"
