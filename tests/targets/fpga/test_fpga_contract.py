"""The shared suite against both modes on this machine: a card for which the CPU may stand in, and a circuit."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep.places import OnThisMachine
from targets.fpga.hosted import MADE_FOR
from targets.fpga.rtl import places as simulations
from targets.fpga.target import ways_of
from targets.local import LocalTarget
from tests.contract_suites.target_suite import TargetSuite
from tests.support.fakes import fake_program
from tests.support.unbuilt_circuits import unbuilt_package


class TestFpgaOnThisMachine(TargetSuite):
    @pytest.fixture
    def target(self, tmp_path: Path) -> FpgaTarget:
        local = LocalTarget(program=fake_program(), made_for=MADE_FOR)
        return FpgaTarget(ways_of(OnThisMachine(inner=local, root=tmp_path)))

    @pytest.fixture
    def settings(self) -> FpgaSettings:
        return FpgaSettings(mode="ep", host="local", fallback="allow")


class TestCircuitOnThisMachine(TargetSuite):
    @pytest.fixture
    def target(self) -> FpgaTarget:
        local = LocalTarget(program=fake_program(), made_for=MADE_FOR)
        return FpgaTarget(ways_of(simulations.OnThisMachine(inner=local)))

    @pytest.fixture
    def settings(self) -> FpgaSettings:
        return FpgaSettings(mode="rtl")

    @pytest.fixture
    def package(self, tmp_path: Path) -> ModelPackage:
        return unbuilt_package(tmp_path / "one", bits=8, version="1")

    @pytest.fixture
    def other_package(self, tmp_path: Path) -> ModelPackage:
        return unbuilt_package(tmp_path / "two", bits=6, version="2")
