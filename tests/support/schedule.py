"""Which tests share a worker and which start first, so that all workers of ``make test`` end at about the same time."""

import os
from typing import Any, Final

from xdist.scheduler import LoadScopeScheduling

# Longest first: what starts last decides when all ends.
FIRST: Final = (
    "tests/converters/test_tensorflow_batch.py",
    "tests/targets/test_docker_",
    "tests/targets/rehearsal/test_runner_containers.py",
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
# Tests that need a Docker engine, which takes seconds to start and keeps layers: two of them, each on one worker.
ENGINES: Final = (
    ("tests/targets/test_docker_",),
    (
        "tests/targets/rehearsal/test_runner_containers.py",
        "tests/targets/rehearsal/test_stage.py::test_containers_",
        "tests/e2e/test_docker",
        "tests/e2e/test_aci_rehearsal.py::test_a_life_in_real_containers",
    ),
)


class Schedule(LoadScopeScheduling):
    """Hands out groups in the order of collection; ``loadgroup`` of xdist 3.8 finds no groups under pytest 9.2."""

    def __init__(self, config: Any, log: Any = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def workers() -> int:
    """Two more than there are processors: a third of the suite's time is waiting."""
    return (os.cpu_count() or 1) + 2


def group_of(nodeid: str) -> str:
    """What goes to one worker together: a file's tests, which share servers; those of an engine; or one test."""
    for number, starts in enumerate(ENGINES):
        if nodeid.startswith(starts):
            return f"engine {number}"
    path = nodeid.partition("::")[0]
    return nodeid if path in APART else path


def rank(nodeid: str) -> int:
    """Place in the order of starting."""
    return next((place for place, start in enumerate(FIRST) if nodeid.startswith(start)), len(FIRST))
