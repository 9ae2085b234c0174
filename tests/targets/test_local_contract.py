"""The shared suite against the local target, with the stand-in for the runtime and with the runtime itself."""

from importlib.util import find_spec

import pytest

from targets.local import LocalSettings, LocalTarget
from tests.contract_suites.target_suite import TargetSuite
from tests.support.fakes import fake_program


class TestLocalWithStandIn(TargetSuite):
    @pytest.fixture
    def target(self) -> LocalTarget:
        return LocalTarget(program=fake_program())

    @pytest.fixture
    def settings(self) -> LocalSettings:
        return LocalSettings()


@pytest.mark.skipif(find_spec("runtime.__main__") is None, reason="the runtime is being built")
class TestLocal(TargetSuite):
    @pytest.fixture
    def target(self) -> LocalTarget:
        return LocalTarget()

    @pytest.fixture
    def settings(self) -> LocalSettings:
        return LocalSettings()
