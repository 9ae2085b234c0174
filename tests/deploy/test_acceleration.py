"""What a listing says of where deployments compute is what their runtimes say, not what was asked of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packager.cli.console import Console
from packager.cli.render import status
from packager.core.deployment import Deployment
from packager.core.errors import InvocationError
from packager.deploy import with_acceleration
from packager.documents import DeploymentDocument, StatusDocument
from tests.support.fakes import MemoryTarget, PackageClient
from tests.support.packages import make_package

VITIS = "VitisAIExecutionProvider"
TOLD = {"asked": [VITIS], "active": "CPUExecutionProvider", "fell_back": True, "summary": "5 on CPUExecutionProvider"}
LIVE = Deployment("card", "memory", "running", "http://x", "iris", "1", "sha256:0", None, None, "2026-01-01T00:00:00Z")


class Telling(MemoryTarget):
    """Its runtimes say where they compute, or nothing at all."""

    def __init__(self, folder: Path, told: Any) -> None:
        super().__init__()
        self.package, self.told, self.asked = make_package(folder), told, 0

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[Any]:
        self.asked += 1
        if self.told is None:
            raise InvocationError("nobody answers")
        client = PackageClient(self.package)
        metadata = client.metadata("iris")
        told = metadata.model_copy(update={"parameters": {"acceleration": self.told}})
        client.metadata = lambda _: told  # type: ignore[method-assign]
        yield client


def listed(target: MemoryTarget, deployment: Deployment) -> str:
    found = with_acceleration([deployment], [target])
    console = Console()
    return status(console, StatusDocument(tuple(DeploymentDocument.of(each) for each in found)))


def test_status_says_that_the_cpu_stands_in(tmp_path: Path) -> None:
    live = replace(LIVE, detail={"settings": {"provider": VITIS, "fallback": "allow"}})
    said = listed(Telling(tmp_path / "iris", TOLD), live)
    assert said.endswith("card: CPU FALLBACK: CPUExecutionProvider; 5 on CPUExecutionProvider")


def test_runtime_that_does_not_answer_is_not_taken_to_be_on_the_card(tmp_path: Path) -> None:
    live = replace(LIVE, detail={"settings": {"provider": VITIS}})
    assert listed(Telling(tmp_path / "iris", None), live).endswith(f"card: it does not say whether {VITIS} is in use")


@pytest.mark.parametrize("change", [{"detail": {"settings": {}}}, {"detail": {}}, {"state": "stopped"}])
def test_others_are_not_asked(tmp_path: Path, change: dict[str, Any]) -> None:
    target = Telling(tmp_path / "iris", TOLD)
    live = replace(LIVE, **{"detail": {"settings": {"provider": VITIS}}, **change})
    assert "card:" not in listed(target, live)
    assert target.asked == 0
