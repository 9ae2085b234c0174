"""A `dray deploy` to Azure ended between any two requests: whatever it left, the same command converges."""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import SmokeTestFailed
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import destroy, rollback
from targets.aci import AciSettings
from tests.contract_suites.target_suite import FAILED, agree, put
from tests.support.aci_cloud import AciCloud, Fuse, Killed
from tests.support.packages import logistic_model, make_package

pytestmark = pytest.mark.slow

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
IN_PLACE = AciSettings(port=18080)
REPLACE = AciSettings(port=18080, update="replace")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def packages(tmp_path: Path, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return make_package(tmp_path / "a"), make_package(tmp_path / "b", logistic_model(seed=7), version="2")


def fused(cloud: AciCloud, left: int | None) -> tuple[Any, Fuse]:
    fuse = Fuse(left, ca=cloud.ca)
    return cloud.target(cloud.access(transport=fuse.transport)), fuse


def requests_of(cloud: AciCloud, first: ModelPackage | None, then: ModelPackage, settings: Any, report: Any) -> int:
    """How many requests a command makes, left undisturbed."""
    if first:
        put(cloud.target(), settings, first, report=PASSED)
    target, fuse = fused(cloud, None)
    try:
        put(target, settings, then, report=report)
    except SmokeTestFailed:
        pass
    remove(cloud, settings)
    return len(fuse.seen)


def remove(cloud: AciCloud, settings: Any) -> None:
    """Everything; what follows is in another subscription, whose requests are not throttled yet."""
    for each in cloud.target().deployments(settings):
        destroy(cloud.target(), each, progress=SilentProgress())
    assert cloud.stored() == {}
    cloud.subscription = str(uuid.uuid4())


@pytest.mark.parametrize("settings", [IN_PLACE, REPLACE], ids=["in-place", "replace"])
@pytest.mark.parametrize("report", [PASSED, FAILED], ids=["passes", "fails"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a killed process closes its sockets
def test_update_killed_after_any_request_converges(
    cloud: AciCloud, packages: tuple[ModelPackage, ModelPackage], settings: AciSettings, report: SmokeReport
) -> None:
    old, new = packages
    count = requests_of(cloud, old, new, settings, report)
    for left in range(1, count + 1):
        put(cloud.target(), settings, old, report=PASSED)
        target, _ = fused(cloud, left)
        try:
            put(target, settings, new, report=report)
        except (Killed, SmokeTestFailed):
            pass

        again = put(cloud.target(), settings, new, report=PASSED)

        assert (again.deployment.state, again.deployment.version) == ("running", "2"), left
        [group] = cloud.stored().values()
        assert group.facts.state == "live"
        before = cloud.target().previous(again.deployment)
        assert before is not None
        assert str(getattr(before[0], "image", before[0])).endswith(old.digest)
        assert not put(cloud.target(), settings, new, report=PASSED).plan.changes_anything
        remove(cloud, settings)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a killed process closes its sockets
def test_first_deployment_killed_after_any_request_converges(
    cloud: AciCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    count = requests_of(cloud, None, packages[0], IN_PLACE, PASSED)
    assert count > 5
    for left in range(1, count + 1):
        target, _ = fused(cloud, left)
        try:
            put(target, IN_PLACE, packages[0], report=PASSED)
        except Killed:
            pass

        again = put(cloud.target(), IN_PLACE, packages[0], report=PASSED)

        assert again.deployment.state == "running", left
        assert len(cloud.stored()) == 1
        remove(cloud, IN_PLACE)


@pytest.mark.parametrize("moment", ["PUT", "operations", "PATCH"])
def test_update_whose_process_is_killed_converges_in_another(
    cloud: AciCloud, packages: tuple[ModelPackage, ModelPackage], moment: str
) -> None:
    old, new = packages
    put(cloud.target(), IN_PLACE, old, report=PASSED)
    target, fuse = fused(cloud, None)
    put(target, IN_PLACE, new, report=PASSED)
    remove(cloud, IN_PLACE)
    last = next(index for index, line in enumerate(fuse.seen, 1) if moment in line)
    put(cloud.target(), IN_PLACE, old, report=PASSED)
    image = cloud.target().release_for_tests(new).image

    program = [sys.executable, "-m", "tests.support.aci_deploy_and_die"]
    argv = [*program, cloud.url, str(cloud.ca), cloud.subscription, str(new.root), str(image)]
    done = subprocess.run([*argv, str(last)], cwd=ROOT, capture_output=True, timeout=60)

    assert done.returncode == -9, done.stderr.decode()
    again = put(cloud.target(), IN_PLACE, new, report=PASSED)
    assert (again.deployment.state, again.deployment.version) == ("running", "2")
    [group] = cloud.stored().values()
    assert group.facts.state == "live"
    assert group.facts.previous.version == "1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a killed process closes its sockets
def test_rollback_killed_before_it_was_taken_goes_on(
    cloud: AciCloud, packages: tuple[ModelPackage, ModelPackage]
) -> None:
    old, new = packages
    put(cloud.target(), IN_PLACE, old, report=PASSED)
    put(cloud.target(), IN_PLACE, new, report=PASSED)
    fuse = rolled_back(cloud, old, None)
    taken = next(index for index, line in enumerate(fuse.seen) if line.startswith("PATCH"))
    for left in range(1, taken + 1):
        remove(cloud, IN_PLACE)
        put(cloud.target(), IN_PLACE, old, report=PASSED)
        put(cloud.target(), IN_PLACE, new, report=PASSED)
        rolled_back(cloud, old, left)

        rolled_back(cloud, old, None)

        [group] = cloud.stored().values()
        assert (group.facts.state, group.facts.served.version) == ("live", "1"), left
        assert group.facts.previous.version == "2"


def rolled_back(cloud: AciCloud, package: ModelPackage, left: int | None) -> Fuse:
    """What a rollback sent until it was killed, or to its end."""
    target, fuse = fused(cloud, left)
    [live] = cloud.target().deployments(IN_PLACE)
    try:
        rollback(
            target, live, smoke=lambda client, package: PASSED, confirm=agree, secrets={},
            package_of=lambda image: package, progress=SilentProgress(), timeout_s=30,
        )  # fmt: skip
    except Killed:
        pass
    return fuse
