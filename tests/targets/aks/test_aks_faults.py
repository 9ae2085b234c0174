"""What goes wrong in a cluster, and the code that it ends in; what served before goes on serving."""

from pathlib import Path

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import DrayError, SmokeTestFailed
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy
from targets.aks import AksSettings
from targets.kit.kubernetes.objects import pods
from targets.rehearsal.kubernetes import container_runs
from targets.rehearsal.kubernetes.faults import FAULTS
from tests.contract_suites.target_suite import NAME, ask, put
from tests.support.aks_cloud import AksCloud
from tests.support.packages import logistic_model, make_package

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
ENDS = {
    "unauthorized": "E-AUTH",
    "forbidden": "E-FORBIDDEN",
    "throttle": "E-THROTTLED",
    "server-error": "E-CLOUD",
    "unavailable": "E-CLOUD",
    "admission": "E-ADMISSION",
    "quota": "E-QUOTA",
    "pod-quota": "E-QUOTA",
    "pod-security": "E-ADMISSION",
    "conflict": "E-FIELD-CONFLICT",
    "image-pull": "E-REGISTRY-UNAVAILABLE",
    "pull-auth": "E-IMAGE-PULL-AUTH",
    "image-missing": "E-IMAGE-MISSING",
    "arch": "E-IMAGE-ARCH",
    "config": "E-CONTAINER-CONFIG",
    "unschedulable": "E-UNSCHEDULABLE",
    "crash": "E-CONTAINER-CRASH",
    "oom": "E-OOM",
    "slow": "E-NOT-READY",
    "probe": "E-LIVENESS",
}
PASSING = (
    "throttle:1", "server-error:2", "unavailable:1", "image-pull:1", "drop:1", "drop:2", "gone-watch", "cut-watch",
)  # fmt: skip


@pytest.fixture
def packages(tmp_path: Path, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def attempt(cloud: AksCloud, package: ModelPackage, timeout_s: float, patience_s: float = 2.0) -> None:
    target = cloud.target(cloud.access(patience_s=patience_s))
    deploy(
        target, NAME, target.release_for_tests(package), AksSettings(), smoke=lambda client, given: PASSED,
        confirm=lambda plan: True, secrets={}, progress=SilentProgress(), timeout_s=timeout_s,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _quick_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes look every second, and a pull is tried again as soon."""
    probe = pods._probe
    monkeypatch.setattr(pods, "_probe", lambda path, period_s, failures: probe(path, period_s=1, failures=failures))
    monkeypatch.setattr(container_runs, "BACKOFF_S", 1.0)


def test_every_fault_is_tried() -> None:
    assert {*ENDS, *(each.partition(":")[0] for each in PASSING), "wrong-answer"} == set(FAULTS)


@pytest.mark.parametrize("fault", sorted(ENDS))
def test_update_that_fails_has_its_code_and_the_old_release_serves(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], fault: str
) -> None:
    first = put(cloud.target(), AksSettings(), packages[0], report=PASSED)
    before = cloud.stored()
    cloud.faults.set((fault,))

    with pytest.raises(DrayError) as caught:
        attempt(cloud, packages[1], 4.0 if fault == "slow" else 40.0)

    cloud.faults.set(())
    assert (caught.value.code, bool(caught.value.hint)) == (ENDS[fault], True)
    assert cloud.target().inspect(NAME, AksSettings()) == first.deployment
    # The fault "conflict" is another manager's change, which stays.
    settings = AksSettings(force_conflicts=fault == "conflict")
    again = put(cloud.target(), settings, packages[0], report=PASSED)
    assert (again.deployment.state, again.deployment.version) == ("running", "1")
    assert again.deployment.endpoint == first.deployment.endpoint
    assert cloud.stored() == before


@pytest.mark.parametrize("fault", ["crash", "quota", "pull-auth"])
def test_first_deployment_that_fails_leaves_nothing(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], fault: str
) -> None:
    cloud.faults.set((fault,))

    with pytest.raises(DrayError) as caught:
        attempt(cloud, packages[0], 40.0)

    assert caught.value.code == ENDS[fault]
    assert cloud.stored() == set()


@pytest.mark.slow
def test_update_that_answers_wrongly_is_found_by_the_smoke_tests(
    runtime_cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    target, settings = runtime_cloud.target(), AksSettings(threads=1)
    first = put(target, settings, packages[0])
    runtime_cloud.faults.set(("wrong-answer",))

    with pytest.raises(SmokeTestFailed):
        put(target, settings, packages[1])

    assert target.inspect(NAME, settings) == first.deployment
    assert ask(target, first.deployment, packages[0]).passed


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_by_itself_is_waited_for(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], fault: str
) -> None:
    cloud.faults.set((fault,))

    attempt(cloud, packages[0], 90.0, patience_s=60.0)

    assert [each.state for each in cloud.target().deployments(AksSettings())] == ["running"]
