"""The suite that every target passes, on the target of memory alone: it holds the machine to its word."""

from pathlib import Path

import pytest

from tests.contract_suites.target_suite import TargetSuite
from tests.support.fakes import MemorySettings, MemoryTarget


class TestMemory(TargetSuite):
    @pytest.fixture
    def target(self, state: Path) -> MemoryTarget:
        return MemoryTarget()

    @pytest.fixture
    def settings(self) -> MemorySettings:
        return MemorySettings()
