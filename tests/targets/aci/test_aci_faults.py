"""Every fault that a rehearsal can inject ends in its own code, with cause and cure, and in nothing left behind."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import DrayError, ProcessCrash
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy
from packager.smoke import run_smoke
from targets.aci import AciSettings
from targets.rehearsal.arm.faults import FAULTS
from tests.contract_suites.target_suite import NAME, agree, put
from tests.support.aci_cloud import AciCloud
from tests.support.packages import logistic_model, make_package

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
SETTINGS = AciSettings(port=18080)
CODES = {
    "quota": "E-QUOTA",
    "capacity": "E-CAPACITY",
    "pull-auth": "E-IMAGE-PULL-AUTH",
    "pull": "E-IMAGE-PULL-AUTH",
    "image-missing": "E-IMAGE-MISSING",
    "registry": "E-REGISTRY-UNAVAILABLE",
    "arch": "E-IMAGE-ARCH",
    "crash": "E-CONTAINER-CRASH",
    "oom": "E-OOM",
    "slow": "E-NOT-READY",
    "throttle": "E-THROTTLED",
    "forbidden": "E-FORBIDDEN",
    "unauthorized": "E-AUTH",
    "transitioning": "E-TRANSITIONING",
    "no-group": "E-NO-RESOURCE-GROUP",
    "dns": "E-NAME-TAKEN",
    "invalid": "E-REQUEST-REFUSED",
    "server-error": "E-CLOUD",
    "lro-failed": "E-DEPLOYMENT-FAILED",
    "stuck": "E-NOT-READY",
}
# With these, not even the request that would undo the failure comes through.
DEAF = {"throttle", "forbidden", "unauthorized", "transitioning", "server-error", "no-group"}
PASSING = ("pull:1", "registry:1", "throttle:1", "transitioning:1", "server-error:1", "drop:1", "drop:2")


def command(cloud: AciCloud, package: ModelPackage, *, smoke: Any = lambda client, package: PASSED) -> Any:
    target = cloud.target()
    return deploy(
        target, NAME, target.release_for_tests(package), SETTINGS, smoke=smoke, confirm=agree, secrets={},
        progress=SilentProgress(), timeout_s=5,
    )  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, state: Path) -> ModelPackage:
    return make_package(tmp_path / "a")


def test_every_fault_has_a_test() -> None:
    assert set(CODES) | {"wrong-answer", "drop"} == set(FAULTS)


@pytest.mark.parametrize("fault", CODES)
def test_a_first_deployment_ends_in_the_code_of_its_fault(cloud: AciCloud, package: ModelPackage, fault: str) -> None:
    cloud.faults.set((fault,))

    with pytest.raises(DrayError) as caught:
        command(cloud, package)

    assert caught.value.code == CODES[fault], caught.value
    assert caught.value.message
    assert caught.value.hint
    cloud.faults.set(())
    if fault not in DEAF:
        assert cloud.stored() == {}
    assert command(cloud, package).deployment.state == "running"


@pytest.mark.parametrize("fault", [each for each in CODES if each not in DEAF])
def test_an_update_with_a_fault_leaves_the_old_release(
    cloud: AciCloud, package: ModelPackage, fault: str, tmp_path: Path
) -> None:
    first = put(cloud.target(), SETTINGS, package, report=PASSED).deployment
    cloud.faults.set((f"{fault}:{4 if fault in ('pull-auth', 'pull', 'registry') else 1}",))

    with pytest.raises(DrayError) as caught:
        command(cloud, make_package(tmp_path / "b", logistic_model(seed=7), version="2"))

    assert caught.value.code == CODES[fault], caught.value
    assert "left_behind" not in caught.value.detail
    found = cloud.target().inspect(NAME, SETTINGS)
    assert found is not None
    # A group that is stuck is deleted and made anew: its label is the same, and so is its name in the real cloud.
    same = replace(found, endpoint=first.endpoint) if fault == "stuck" else found
    assert same == first


def test_a_crash_is_told_in_its_last_words_although_the_container_runs_again(
    cloud: AciCloud, package: ModelPackage
) -> None:
    cloud.faults.set(("crash",))

    with pytest.raises(ProcessCrash, match=r"Protobuf parsing failed. \(rehearsed fault: crash\)"):
        command(cloud, package)


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_by_itself_is_waited_for(cloud: AciCloud, package: ModelPackage, fault: str) -> None:
    cloud.faults.set((fault,))

    assert command(cloud, package).deployment.state == "running"
    assert len(cloud.stored()) == 1


def test_wrong_answers_fail_the_smoke_tests(runtime_cloud: AciCloud, package: ModelPackage) -> None:
    runtime_cloud.faults.set(("wrong-answer",))

    with pytest.raises(DrayError) as caught:
        command(runtime_cloud, package, smoke=run_smoke)

    assert caught.value.code == "E-SMOKE"
    assert runtime_cloud.stored() == {}
