"""``mode: rtl``: what is refused before anything runs, what a plan tells, and what the pipeline is asked to make."""

import time
from pathlib import Path
from typing import Any

import pytest

from packager import pipeline
from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import Finding, Findings
from packager.core.errors import (
    CircuitAbsent,
    ConfigurationError,
    DeploymentError,
    DrayError,
    SimulationAbsent,
    UsageError,
)
from packager.core.form import CircuitAsked, Form
from packager.core.progress import SilentProgress
from packager.deploy import deploy, find, plan, rollback
from packager.deploy.places import Place
from packager.pipeline import DeployRequest
from packager.smoke import run_smoke
from targets.fpga import FpgaSettings, FpgaTarget
from targets.fpga.ep import places as cards
from targets.fpga.hosted import MADE_FOR
from targets.fpga.rtl import places as simulations
from targets.fpga.target import ways_of
from targets.local import LocalTarget
from tests.support.fakes import fake_program
from tests.support.packages import make_package
from tests.support.unbuilt_circuits import HERE, unbuilt_package

pytestmark = pytest.mark.usefixtures("state")


def rtl(**settings: Any) -> FpgaSettings:
    return FpgaSettings.model_validate({"mode": "rtl", **settings})


@pytest.fixture
def target(bare: Path) -> FpgaTarget:
    local = LocalTarget(program=fake_program(), made_for=MADE_FOR)
    return FpgaTarget(ways_of(cards.OnThisMachine(inner=local, root=bare), simulations.OnThisMachine(inner=local)))


def planned(target: FpgaTarget, package: ModelPackage, settings: FpgaSettings) -> Findings:
    return plan(target, "net", Release(package), settings).findings


def of_code(found: Findings, code: str) -> Finding:
    return next(each for each in found if each.code == code)


def test_circuit_is_served_by_a_process_here_where_no_host_is_named() -> None:
    assert isinstance(FpgaTarget().at(rtl()), simulations.OnThisMachine)


def test_package_without_a_circuit_is_refused(target: FpgaTarget, tmp_path: Path) -> None:
    with pytest.raises(CircuitAbsent, match="iris 1 holds no circuit, and mode=rtl serves one") as caught:
        planned(target, make_package(tmp_path / "iris"), rtl())
    assert (caught.value.code, isinstance(caught.value, DeploymentError)) == ("E-NOT-A-CIRCUIT", True)
    assert "dray package MODEL --circuit" in caught.value.hint


def test_simulation_for_another_platform_is_refused_with_those_that_there_are(
    target: FpgaTarget, tmp_path: Path
) -> None:
    package = unbuilt_package(tmp_path / "net", platforms=("linux/riscv64",))
    with pytest.raises(SimulationAbsent, match=f"no simulation for {HERE}; it has linux/riscv64$") as caught:
        planned(target, package, rtl())
    assert "`dray package MODEL --circuit` here" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"bits": 6}, "bits=6 is asked for, and the circuit of the package has 8 bits"),
        ({"max_luts": 1000}, "max_luts=1000 is asked for, and the circuit of the package has about 1,234"),
        ({"min_agreement": 0.995}, "min_agreement=0.995 is asked for, and .* has an agreement of 0.9917"),
    ],
)
def test_settings_that_the_package_was_not_made_with_are_refused(
    target: FpgaTarget, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        planned(target, unbuilt_package(tmp_path / "net"), rtl(**settings))
    assert "leave the setting out" in caught.value.hint


def test_settings_that_the_package_meets_stop_nothing(target: FpgaTarget, tmp_path: Path) -> None:
    settings = rtl(bits=8, max_luts=1234, min_agreement=0.99, part="xcvu13p-flga2577-2-e", clock_ns=5)
    found = planned(target, unbuilt_package(tmp_path / "net"), settings)
    assert [each.code for each in found] == ["E-SIMULATION"]


def test_project_stays_as_it_was_made_and_that_is_told(target: FpgaTarget, tmp_path: Path) -> None:
    found = planned(target, unbuilt_package(tmp_path / "net"), rtl(part="xc7z020clg400-1", clock_ns=2))
    told = [each.message for each in found if each.code == "E-PROJECT"]
    assert [each.split(" is not what the package's project")[0] for each in told] == [
        "part=xc7z020clg400-1", "clock_ns=2",
    ]  # fmt: skip


def test_plan_says_that_it_is_a_simulation_and_what_of(target: FpgaTarget, tmp_path: Path) -> None:
    told = of_code(planned(target, unbuilt_package(tmp_path / "net"), rtl()), "E-SIMULATION")
    assert told.message.startswith(
        "a simulation answers, on a CPU, and no FPGA: 8 bits, agreement with the model 99.17%"
    )
    assert "1,234 look-up tables by alkaid (estimate)" in told.message
    assert "3 cycles of latency, a row every cycle" in told.message
    assert told.hint.endswith("circuit/project")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mode": "rtl", "fallback": "allow"}, "fallback is of mode=ep, and mode=rtl is set"),
        ({"mode": "rtl", "unchecked": True}, "unchecked is of mode=ep, and mode=rtl is set"),
        (
            {"mode": "rtl", "local": {"provider": "CUDAExecutionProvider"}},
            "local.provider is of mode=ep, and mode=rtl is set",
        ),
        ({"mode": "ep", "bits": 8}, "bits is of mode=rtl, and mode=ep is set"),
        ({"mode": "ep", "clock_ns": 4}, "clock_ns is of mode=rtl, and mode=ep is set"),
        ({"mode": "rtl", "bits": 1}, "greater than or equal to 2"),
        ({"mode": "rtl", "part": "a; exec rm"}, "should match pattern"),
        ({"mode": "rtl", "docker": {"port": 8080}}, "docker.port is set, and host=local"),
    ],
)
def test_settings_of_another_mode_are_refused_by_name(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FpgaSettings.model_validate(settings)


def test_pipeline_is_asked_for_a_circuit_and_told_what_is_set() -> None:
    asked = FpgaTarget().at(rtl(bits=6, max_luts=9000)).form(rtl(bits=6, max_luts=9000))
    assert asked == Form(circuit=CircuitAsked(bits=6, max_luts=9000))


def test_option_that_contradicts_a_setting_is_refused_before_a_circuit_is_made() -> None:
    settings = rtl(bits=8, max_luts=9000)
    place = Place(FpgaTarget().at(settings), settings)
    with pytest.raises(UsageError, match="--bits 6 contradicts the target's setting bits=8") as caught:
        pipeline._in_form(place, {"bits": 6})
    assert "--set bits=6" in caught.value.hint
    assert pipeline._in_form(place, {"bits": 8, "part": "xc7"}) == {
        "circuit": True, "bits": 8, "max_luts": 9000, "part": "xc7",
    }  # fmt: skip


def test_circuit_is_not_begun_for_a_host_that_could_not_run_its_simulation() -> None:
    settings = rtl(host="kubernetes", kubernetes={"architecture": "arm64" if HERE.endswith("amd64") else "amd64"})
    with pytest.raises(SimulationAbsent, match=f"is built for this machine, {HERE}"):
        FpgaTarget().at(settings).form(settings)


def test_ship_asks_for_the_engine_before_it_reads_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    request = DeployRequest(target="fpga", overrides=("mode=rtl", "host=docker"))
    began = time.monotonic()
    with pytest.raises(DrayError) as caught:
        pipeline.ship(tmp_path / "no-such.onnx", deployment=request)
    assert caught.value.code == "E-IMAGE-ENGINE"
    assert time.monotonic() - began < 1


def test_card_gives_way_to_a_circuit_under_the_same_name_and_comes_back(target: FpgaTarget, tmp_path: Path) -> None:
    card = FpgaSettings.model_validate({"mode": "ep", "host": "local", "fallback": "allow"})

    def put(package: ModelPackage, settings: FpgaSettings) -> Any:
        return deploy(
            target, "net", Release(package), settings, smoke=run_smoke, confirm=lambda _: True, secrets={},
            progress=SilentProgress(), timeout_s=60,
        )  # fmt: skip

    first = put(make_package(tmp_path / "iris"), card)
    second = put(unbuilt_package(tmp_path / "net"), rtl())
    try:
        changed = {change.field for action in second.plan.actions for change in action.changes}
        assert {"provider", "digest"} <= changed
        assert [(each.detail["mode"], each.detail["host"]) for each in target.deployments(rtl())] == [("rtl", "local")]
        back = rollback(
            target, find("net", [target])[1], smoke=run_smoke, confirm=lambda _: True, secrets={},
            package_of=lambda _: make_package(tmp_path / "never"), progress=SilentProgress(), timeout_s=60,
        )  # fmt: skip
        assert (back.deployment.detail["mode"], back.deployment.digest) == ("ep", first.deployment.digest)
    finally:
        target.destroy(find("net", [target])[1], SilentProgress())
    assert target.deployments(rtl()) == ()
