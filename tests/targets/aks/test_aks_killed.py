"""A `dray deploy` to Kubernetes ended between any two requests: whatever it left, the same command converges."""

import os
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import SmokeTestFailed
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import destroy
from targets.aks import AksSettings
from targets.kit.kubernetes import change
from tests.contract_suites.target_suite import FAILED, NAME, put
from tests.support.aci_cloud import Killed
from tests.support.aks_cloud import AksCloud, Fuse
from tests.support.packages import logistic_model, make_package

pytestmark = pytest.mark.slow

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
STRATEGIES = {
    "rolling": AksSettings(),
    "blue-green": AksSettings(strategy="blue-green", drain_s=0),
    "canary": AksSettings(strategy="canary", route="gateway", steps=(10,), step_s=0, drain_s=0),
}


@pytest.fixture(autouse=True)
def _no_waiting_for_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is deleted between two rounds may end by itself."""
    monkeypatch.setattr(change, "_GONE_S", 0.0)


@pytest.fixture
def packages(tmp_path: Path, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def fused(cloud: AksCloud, left: int | None) -> tuple[Any, Fuse]:
    fuse = Fuse(left)
    return cloud.target(cloud.access(before=fuse.before)), fuse


def changes(seen: list[str], most: int) -> list[int]:
    """Numbers of requests after which to end a command: such as change something, the first and the last among them.

    What only looks leaves nothing behind, so that an end after it is an end after the change before it. All of them
    take minutes: ``DRAY_EVERY_MOMENT=1`` wants that.
    """
    found = [at for at, each in enumerate(seen, 1) if each.startswith(("PATCH", "DELETE", "POST", "PUT"))]
    if os.environ.get("DRAY_EVERY_MOMENT"):
        return list(range(1, len(seen) + 1))
    return sorted({found[round(at * (len(found) - 1) / (most - 1))] for at in range(most)})


def writes(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], settings: AksSettings, report: Any
) -> list[int]:
    """Moments of an update."""
    put(cloud.target(), settings, packages[0], report=PASSED)
    target, fuse = fused(cloud, None)
    try:
        put(target, settings, packages[1], report=report)
    except SmokeTestFailed:
        pass
    remove(cloud, settings)
    return changes(fuse.seen, 4)


def remove(cloud: AksCloud, settings: Any) -> None:
    for each in cloud.target().deployments(settings):
        destroy(cloud.target(), each, progress=SilentProgress())
    assert cloud.stored() == set()


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("report", [PASSED, FAILED], ids=["passes", "fails"])
def test_update_killed_at_a_moment_converges(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage], strategy: str, report: SmokeReport
) -> None:
    settings = STRATEGIES[strategy]
    old, new = packages
    put(cloud.target(), settings, new, report=PASSED)
    clean = {kind for kind, _ in cloud.stored()}
    remove(cloud, settings)
    for left in writes(cloud, packages, settings, report):
        put(cloud.target(), settings, old, report=PASSED)
        target, _ = fused(cloud, left)
        try:
            put(target, settings, new, report=report)
        except (Killed, SmokeTestFailed):
            pass

        again = put(cloud.target(), settings, new, report=PASSED)

        assert (again.deployment.state, again.deployment.version) == ("running", "2"), left
        assert {kind for kind, _ in cloud.stored()} == clean, left
        assert len([name for kind, name in cloud.stored() if kind == "Deployment"]) == 1, left
        before = cloud.target().previous(again.deployment)
        assert before is not None, left
        assert getattr(before[0], "package", before[0]).digest == old.digest, left
        assert not put(cloud.target(), settings, new, report=PASSED).plan.changes_anything, left
        remove(cloud, settings)


def test_first_deployment_killed_at_a_moment_converges(
    cloud: AksCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    target, fuse = fused(cloud, None)
    put(target, AksSettings(), packages[0], report=PASSED)
    remove(cloud, AksSettings())
    for left in changes(fuse.seen, 5):
        target, _ = fused(cloud, left)
        try:
            put(target, AksSettings(), packages[0], report=PASSED)
        except Killed:
            pass

        again = put(cloud.target(), AksSettings(), packages[0], report=PASSED)

        assert again.deployment.state == "running", left
        assert ("Deployment", NAME) in cloud.stored()
        remove(cloud, AksSettings())
