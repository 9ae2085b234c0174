"""Where the way to a runtime carries little, it replays its test data itself, and is asked only what fits."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import InvocationError
from packager.core.protocols import SelfTesting
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.smoke import run_smoke
from runtime.contract.wire import InferenceRequest
from tests.support.fakes import PackageClient
from tests.support.packages import make_package


class NarrowClient(PackageClient, SelfTesting):
    """Carries requests of one row."""

    passed: bool | None = True

    def self_test(self, *, timeout_s: float) -> SmokeReport:
        if self.passed is None:
            raise InvocationError("the device went away")
        return SmokeReport((SmokeCheck("self-test", self.passed, "on the device", 1.0),))

    def fits(self, request: InferenceRequest) -> bool:
        return request.inputs[0].shape[0] == 1


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "package")


def test_runtime_tests_itself_and_is_asked_what_fits(package: ModelPackage) -> None:
    report = run_smoke(NarrowClient(package), package, timeout_s=5)

    assert report.passed
    names = [check.name for check in report.checks]
    assert names == ["ready", "model", "signature", "self-test", "test_data_set_0", "wrong-request"]


@pytest.mark.parametrize(("passed", "detail"), [(False, "on the device"), (None, "the device went away")])
def test_self_test_that_fails_fails_the_smoke_test(package: ModelPackage, passed: bool | None, detail: str) -> None:
    client = NarrowClient(package)
    client.passed = passed

    report = run_smoke(client, package, timeout_s=5)

    assert [(check.name, check.detail) for check in report.failures] == [("self-test", detail)]
