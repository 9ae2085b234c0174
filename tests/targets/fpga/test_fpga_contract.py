"""The shared suite against ``mode: ep`` on this machine, where the CPU may stand in."""

from pathlib import Path

import pytest

from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep.places import OnThisMachine
from targets.fpga.hosted import MADE_FOR
from targets.local import LocalTarget
from tests.contract_suites.target_suite import TargetSuite
from tests.support.fakes import fake_program


class TestFpgaOnThisMachine(TargetSuite):
    @pytest.fixture
    def target(self, tmp_path: Path) -> FpgaTarget:
        local = LocalTarget(program=fake_program(), made_for=MADE_FOR)
        return FpgaTarget({("ep", "local"): OnThisMachine(inner=local, root=tmp_path)})

    @pytest.fixture
    def settings(self) -> FpgaSettings:
        return FpgaSettings(mode="ep", host="local", fallback="allow")
