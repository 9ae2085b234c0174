"""From a model file to an endpoint that simulated Verilog answers: nothing of it is a stand-in."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from packager import pipeline
from packager.core.errors import DrayError
from packager.core.progress import SilentProgress
from packager.deploy import find
from packager.documents import DeployDocument
from packager.pipeline import DeployRequest
from packager.smoke import run_smoke
from runtime.contract.circuit import PLATFORM
from runtime.contract.package import read_package
from targets.fpga import FpgaTarget
from tests.support.absent import absent
from tests.support.circuit_packages import feeds_of, plain_model

SETTINGS = ("mode=rtl", "bits=3", "min_agreement=0.5", "part=xc7z020clg400-1", "clock_ns=4")
pytestmark = pytest.mark.usefixtures("state")


def shipped(folder: Path) -> DeployDocument:
    model = plain_model()
    onnx.save(model, folder / "plain.onnx")
    np.save(folder / "rows.npy", feeds_of(model)["x"])
    request = DeployRequest(target="fpga", overrides=SETTINGS)
    try:
        return pipeline.ship(
            folder / "plain.onnx", deployment=request, samples=folder / "rows.npy", out=folder / "package"
        )
    except DrayError as error:
        if "not installed here" in error.message:
            absent(error.message)
        raise


def test_model_becomes_an_endpoint_that_a_simulated_circuit_answers(tmp_path: Path) -> None:
    document = shipped(tmp_path)
    target, deployment = find("plain", [FpgaTarget()])
    try:
        assert (document.target, document.state, document.smoke.passed) == ("fpga", "running", True)
        assert (deployment.detail["mode"], deployment.detail["host"]) == ("rtl", "local")
        package = read_package(tmp_path / "package")
        with target.connect(deployment) as client:
            metadata, report = client.metadata("plain"), run_smoke(client, package)
        assert metadata.platform == PLATFORM
        [check] = [each for each in report.checks if each.name == "provider"]
        assert (check.passed, check.detail.startswith(PLATFORM)) == (True, True)
        again = pipeline.plan(package.root, DeployRequest(target="fpga", overrides=SETTINGS))
        assert not again.changes_anything
        assert [each["code"] for each in again.findings] == ["E-SIMULATION"]
        assert document.circuit is not None
        assert (document.circuit.bits, document.circuit.compared) == (3, 48 + 64 + 2)
    finally:
        target.destroy(deployment, SilentProgress())
