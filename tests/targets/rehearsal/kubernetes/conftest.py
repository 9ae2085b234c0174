from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kubernetes_server import Kube, kube_server


@pytest.fixture
def kube(tmp_path: Path) -> Iterator[Kube]:
    """A cluster on real TLS, over a runner that starts no process."""
    with kube_server(tmp_path) as server:
        yield server
