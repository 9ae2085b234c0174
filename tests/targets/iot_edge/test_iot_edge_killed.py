"""A `dray deploy` to IoT Edge ended between any two requests: whatever it left, the same command converges."""

import json
from pathlib import Path
from typing import Any

import pytest

from packager.core.artifact import ModelPackage
from packager.core.errors import SmokeTestFailed
from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import destroy
from targets.iot_edge import IotEdgeSettings
from tests.contract_suites.target_suite import FAILED, NAME, put
from tests.support.edge_cloud import OTHERS, ROUTES, EdgeCloud
from tests.support.scripted_hub import AGENT, ROUTER

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))
PLACES = {
    "device": IotEdgeSettings(device="edge-1"),
    "layered": IotEdgeSettings(target_condition="tags.site='one'", sample=1),
}


class Killed(BaseException):
    """Nothing is sent any more, as if the process had ended; no way back is gone either."""


@pytest.fixture
def packages(package: ModelPackage, other: ModelPackage, state: Path) -> tuple[ModelPackage, ModelPackage]:
    return package, other


class Fuse:
    """Lets a number of requests through, and ends everything after them."""

    def __init__(self, left: int | None) -> None:
        self.left = left
        self.seen: list[str] = []

    def before(self, method: str, path: str) -> None:
        if self.left is not None and len(self.seen) >= self.left:
            raise Killed
        self.seen.append(f"{method} {path}")


def changing(fuse: Fuse) -> list[int]:
    """Numbers of requests after which to end a command: before the first that changes something, and after each."""
    marks = [at + 1 for at, each in enumerate(fuse.seen) if not each.startswith("GET") and "query" not in each]
    return [marks[0] - 1, *marks[:-1]]


def fused(cloud: EdgeCloud, left: int | None) -> tuple[Any, Fuse]:
    fuse = Fuse(left)
    return cloud.target(before=fuse.before), fuse


def clean(cloud: EdgeCloud) -> None:
    """Nothing of dray's is left, and all of others' is as it was."""
    device = cloud.hub.devices["edge-1"]
    assert json.dumps(device.modules[AGENT].desired) == json.dumps(OTHERS)
    assert json.dumps(device.modules[ROUTER].desired) == json.dumps(ROUTES)
    assert device.twin.tags == {"site": "one"}
    assert cloud.hub.configurations == {}


@pytest.mark.parametrize("report", [PASSED, FAILED], ids=["passes", "fails"])
@pytest.mark.parametrize("place", PLACES)
def test_update_killed_after_any_change_converges(
    cloud: EdgeCloud, packages: tuple[ModelPackage, ModelPackage], place: str, report: SmokeReport
) -> None:
    settings, (old, new) = PLACES[place], packages
    left: int | None = None
    marks = [-1]
    while marks:
        cloud.furnish()
        put(cloud.target(), settings, old, report=PASSED)
        target, fuse = fused(cloud, left)
        try:
            put(target, settings, new, report=report)
        except (Killed, SmokeTestFailed):
            pass
        marks = changing(fuse) if left is None else marks[1:]

        again = put(cloud.target(), settings, new, report=PASSED)

        assert (again.deployment.state, again.deployment.version) == ("running", "2"), left
        before = cloud.target().previous(again.deployment)
        assert before is not None, left
        assert len(cloud.hub.configurations) == (1 if settings.layered else 0), left
        assert put(cloud.target(), settings, new, report=PASSED).plan.changes_anything is False, left
        destroy(cloud.target(), again.deployment, progress=SilentProgress())
        clean(cloud)
        left = marks[0] if marks else None


@pytest.mark.parametrize("place", PLACES)
def test_first_deployment_and_delete_killed_after_any_change_leave_what_can_be_deleted(
    cloud: EdgeCloud, packages: tuple[ModelPackage, ModelPackage], place: str
) -> None:
    settings, (package, _) = PLACES[place], packages
    for what in ("deploy", "delete"):
        left: int | None = None
        marks = [-1]
        while marks:
            cloud.furnish()
            if what == "delete":
                put(cloud.target(), settings, package, report=PASSED)
            target, fuse = fused(cloud, left)
            try:
                if what == "deploy":
                    put(target, settings, package, report=PASSED)
                found = cloud.target().inspect(NAME, settings)
                assert found is not None
                if what == "delete":
                    destroy(target, found, progress=SilentProgress())
            except Killed:
                pass
            marks = changing(fuse) if left is None else marks[1:]

            for each in cloud.target().deployments(settings):
                destroy(cloud.target(), each, progress=SilentProgress())

            clean(cloud)
            left = marks[0] if marks else None
