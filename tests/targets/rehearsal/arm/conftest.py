from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from tests.support.arm_server import Arm, arm_server


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    """A stand-in on real TLS, over a runner that starts no process."""
    with arm_server(tmp_path) as server:
        yield server


@pytest.fixture
def sdk(arm: Arm) -> Iterator[ContainerInstanceManagementClient]:
    """Microsoft's own client of it, with no retries."""
    with arm.sdk() as client:
        yield client
