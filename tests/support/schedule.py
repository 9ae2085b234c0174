"""Which tests share a worker and which start first, so that all workers of ``make test`` end at about the same time."""

import os
from collections.abc import Sequence
from typing import Final

import pytest

# Longest first, with seconds on two quiet cores where they count: what starts last decides when all ends.
FIRST: Final = (
    "tests/converters/test_tensorflow_batch.py",
    "engine of deployments",
    "engine of rehearsals",
    "tests/converters/test_pytorch_models.py",
    "tests/e2e/test_aci_rehearsal.py",
    "tests/e2e/test_rehearse_aks.py",
    "tests/targets/aks",
    "tests/converters/test_huggingface.py",
    "tests/e2e/test_minilm.py",
    "tests/runtime/test_schema_fuzz.py",
    "tests/runtime/test_workers.py",
    "tests/runtime/test_faults.py",
    "tests/targets/aci",
    "tests/e2e",
    "tests/image",
    "tests/runtime",
    "tests/convert/safety",
    "tests/converters/test_boosters.py",
    "tests/converters/test_sklearn_precision.py",
    "tests/benchmarks/test_bench.py",
    "tests/targets/rehearsal",
    "tests/transform",
    "tests/targets",
)
# Files whose tests are long and share nothing.
APART: Final = (
    "tests/converters/test_boosters.py",
    "tests/converters/test_sklearn_precision.py",
    "tests/e2e/test_aci_rehearsal.py",
    "tests/e2e/test_pytorch.py",
    "tests/e2e/test_ship.py",
    "tests/e2e/test_strangers.py",
    "tests/runtime/test_overload.py",
    "tests/targets/aci/test_aci_contract.py",
    "tests/targets/aci/test_aci_faults.py",
    "tests/targets/aci/test_aci_killed.py",
)


def workers() -> int:
    """Two more than there are processors: a third of the suite's time is waiting."""
    return (os.cpu_count() or 1) + 2


def arrange(items: list[pytest.Item]) -> None:
    """Put the longest first; a file's tests, which share servers, go to one worker, and all of an engine's to one."""
    for item in items:
        if group := _group(item):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)  # is stable


def _group(item: pytest.Item) -> str | None:
    path = item.nodeid.partition("::")[0]
    if "engine_host" in getattr(item, "fixturenames", ()):
        # One engine for all would serve them one after another until all else has ended.
        return f"engine of {'deployments' if path.startswith('tests/targets/test_docker') else 'rehearsals'}"
    return None if path in APART else path


def _rank(item: pytest.Item) -> int:
    return _place(_group(item) or item.nodeid, FIRST)


def _place(name: str, order: Sequence[str]) -> int:
    return next((place for place, start in enumerate(order) if name.startswith(start)), len(order))
