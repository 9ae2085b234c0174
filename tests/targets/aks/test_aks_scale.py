"""Many deployments in one namespace cost each other nothing."""

from pathlib import Path

import pytest

from packager.core.progress import SilentProgress
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.deploy import deploy
from targets.aks import AksSettings
from tests.support.aks_cloud import AksCloud, Fuse
from tests.support.packages import make_package

PASSED = SmokeReport((SmokeCheck("ready", True, "", 1.0),))


@pytest.mark.slow
def test_requests_of_a_deployment_do_not_grow_with_the_others(cloud: AksCloud, state: Path, tmp_path: Path) -> None:
    package, asked = make_package(tmp_path / "a"), list[int]()
    for at in range(8):
        fuse = Fuse()
        target = cloud.target(cloud.access(before=fuse.before))
        deploy(
            target, f"iris{at}", target.release_for_tests(package), AksSettings(), smoke=lambda client, given: PASSED,
            confirm=lambda plan: True, secrets={}, progress=SilentProgress(), timeout_s=60,
        )  # fmt: skip
        # Looks at what is under way are more or fewer; nothing else is.
        looks = (f"/deployments/iris{at}", "/pods")
        asked.append(len([each for each in fuse.seen if not (each.startswith("GET") and each.endswith(looks))]))

    assert len(set(asked[1:])) == 1
    fuse = Fuse()
    assert len(cloud.target(cloud.access(before=fuse.before)).deployments(AksSettings())) == 8
    assert len(fuse.seen) == 2
