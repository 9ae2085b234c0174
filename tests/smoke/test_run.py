"""The smoke test tells a right endpoint from a wrong one, and says what is wrong."""

from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from packager.core.artifact import ModelPackage
from packager.core.errors import NotReady
from packager.core.smoke import SmokeReport
from packager.smoke import run_smoke
from runtime.contract.wire import Tensor
from tests.support.fakes import PackageClient
from tests.support.packages import identity_model, logistic_model, make_package


@pytest.fixture
def package(tmp_path: Path) -> ModelPackage:
    return make_package(tmp_path / "package")


def only_failure(report: SmokeReport) -> tuple[str, str]:
    assert [check.passed for check in report.checks].count(False) == 1, report.failures
    return report.failures[0].name, report.failures[0].detail


def test_right_endpoint_passes_every_check(package: ModelPackage) -> None:
    report = run_smoke(PackageClient(package), package, timeout_s=5)

    assert report.passed
    names = [check.name for check in report.checks]
    assert names == ["ready", "model", "signature", "test_data_set_0", "test_data_set_1", "wrong-request"]
    assert [check.rows for check in report.checks] == [None, None, None, 1, 5, None]
    assert report.checks[4].max_abs_error == 0
    assert all(check.duration_ms >= 0 for check in report.checks)


def wrong_float(tensor: Tensor) -> Tensor:
    if tensor.name != "probabilities" or tensor.shape[0] != 5:
        return tensor
    return tensor.model_copy(update={"data": [*tensor.data[:7], 0.75, *tensor.data[8:]]})


def wrong_label(tensor: Tensor) -> Tensor:
    if tensor.name != "label" or tensor.shape[0] != 5:
        return tensor
    return tensor.model_copy(update={"data": [*tensor.data[:3], 9, *tensor.data[4:]]})


def one_output_less(tensor: Tensor) -> Tensor | None:
    return None if tensor.name == "label" and tensor.shape[0] == 5 else tensor


def other_type(tensor: Tensor) -> Tensor:
    return tensor.model_copy(update={"datatype": "INT32"}) if tensor.shape == [5] else tensor


def words_for_numbers(tensor: Tensor) -> Tensor:
    return tensor.model_copy(update={"data": ["many"] * 15}) if tensor.shape == [5, 3] else tensor


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (wrong_float, ["'probabilities' at [2, 1] is 0.75, expected 0."]),
        (wrong_label, ["'label' at [3] is 9, expected "]),
        (one_output_less, ["'label' is absent", "['probabilities']"]),
        (other_type, ["'label' is of type INT32, expected INT64"]),
        (words_for_numbers, ["'probabilities' holds 'many', expected numbers"]),
    ],
)
def test_wrong_answer_names_output_place_expected_and_actual(
    package: ModelPackage, change: Callable[[Tensor], Any], words: list[str]
) -> None:
    name, detail = only_failure(run_smoke(PackageClient(package, change=change), package, timeout_s=5))

    assert name == "test_data_set_1"
    assert all(word in detail for word in words), detail


def test_deviation_within_tolerance_passes_and_is_reported(package: ModelPackage) -> None:
    def nudge(tensor: Tensor) -> Tensor:
        shift = 1e-6 if tensor.datatype == "FP32" else 0
        return tensor.model_copy(update={"data": [value + shift for value in tensor.data]})

    report = run_smoke(PackageClient(package, change=nudge), package, timeout_s=5)

    assert report.passed
    assert report.checks[3].max_abs_error == pytest.approx(1e-6, rel=0.05)  # as a float32 holds it


def test_nested_answer_is_read_in_row_major_order(package: ModelPackage) -> None:
    def nest(tensor: Tensor) -> Tensor:
        nested = np.array(tensor.data).reshape(tensor.shape).tolist()
        return tensor.model_copy(update={"data": nested})

    assert run_smoke(PackageClient(package, change=nest), package, timeout_s=5).passed


def test_another_package_is_told_by_digest(package: ModelPackage, tmp_path: Path) -> None:
    other = make_package(tmp_path / "other", logistic_model(seed=7))

    report = run_smoke(PackageClient(other), package, timeout_s=5)

    failures = {check.name: check.detail for check in report.failures}
    assert failures["model"] == f"the endpoint serves digest {other.digest!r}, expected {package.digest!r}"
    assert "test_data_set_1" in failures


def test_another_signature_is_shown(package: ModelPackage, tmp_path: Path) -> None:
    other = make_package(tmp_path / "other", logistic_model(features=3))

    report = run_smoke(PackageClient(other), package, timeout_s=5)

    detail = next(check.detail for check in report.failures if check.name == "signature")
    assert detail == "the endpoint's inputs are ['X FP32[-1, 3]'], expected ['X FP32[-1, 4]']"


@pytest.mark.parametrize(("options", "words"), [({"lenient": True}, "as if it were right"), ({"status": 500}, "500")])
def test_wrong_request_that_is_not_refused_as_the_clients_fails(
    package: ModelPackage, options: dict[str, Any], words: str
) -> None:
    name, detail = only_failure(run_smoke(PackageClient(package, **options), package, timeout_s=5))

    assert name == "wrong-request"
    assert words in detail


def test_endpoint_that_is_not_ready_in_time_fails_and_is_asked_nothing(package: ModelPackage) -> None:
    class Starting(PackageClient):
        def ready(self) -> bool:
            return False

    client = Starting(package)
    name, detail = only_failure(run_smoke(client, package, timeout_s=0.1))

    assert (name, detail) == ("ready", "not ready within 0.1 s")
    assert client.requests == []


def test_endpoint_that_never_will_be_ready_fails_at_once(package: ModelPackage) -> None:
    class Failed(PackageClient):
        def ready(self) -> bool:
            raise NotReady("the runtime will not become ready: digest differs")

    assert only_failure(run_smoke(Failed(package), package, timeout_s=60))[1].endswith("digest differs")


def test_nan_travels_as_null_and_equals_nan(tmp_path: Path) -> None:
    values = {"x": np.array([[1.0, nan]], "f4")}
    package = make_package(tmp_path / "nan", identity_model(TensorProto.FLOAT), inputs=values)
    client = PackageClient(package)

    report = run_smoke(client, package, timeout_s=5)

    assert report.passed
    assert client.requests[0].inputs[0].data == [1.0, None]


def test_infinity_that_json_cannot_carry_leaves_nothing_shown(tmp_path: Path) -> None:
    values = {"x": np.array([[1.0, inf]], "f4")}
    package = make_package(tmp_path / "inf", identity_model(TensorProto.FLOAT), inputs=values)

    name, detail = only_failure(run_smoke(PackageClient(package), package, timeout_s=5))

    assert name == "test_data"
    assert "infinity" in detail


def test_empty_report_is_a_failure() -> None:
    assert not SmokeReport(()).passed


@pytest.mark.parametrize(("fallback", "passed"), [("allow", True), ("forbid", False)])
def test_cpu_that_does_the_work_of_a_card_is_said_aloud(package: ModelPackage, fallback: str, passed: bool) -> None:
    facts = {"fell_back": True, "fallback": fallback, "active": "CPUExecutionProvider", "summary": "3 on the CPU"}

    class OnCpu(PackageClient):
        def metadata(self, model: str) -> Any:
            given = super().metadata(model)
            return given.model_copy(update={"parameters": {**(given.parameters or {}), "acceleration": facts}})

    report = run_smoke(OnCpu(package), package, timeout_s=5)
    [check] = [each for each in report.checks if each.name == "provider"]
    assert check.passed is report.passed is passed
    assert check.detail == "CPU FALLBACK: CPUExecutionProvider; 3 on the CPU"
