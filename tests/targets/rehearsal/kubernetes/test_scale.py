"""Work grows with the number of deployments, and no faster: counted, as times would depend on the machine."""

import json
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from targets.rehearsal.kubernetes import loops, viewing
from targets.rehearsal.workload import Workload
from tests.support.fake_runner import FakeRunner
from tests.support.kubernetes_server import Kube, deployment, kube_server, service, wait_until

PODS = "/api/v1/namespaces/default/pods"


class Portless(FakeRunner):
    """Workloads that listen nowhere: their number is what is tried."""

    def start(self, workload: Workload) -> None:
        super().start(replace(workload, ports=()))


class Counts:
    """How often the cluster looked at something."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks, self.seen = 0, 0
        look, of = loops.Loop._look, viewing._Watch._of

        def counted_look(loop: loops.Loop, key: tuple[str, str]) -> None:
            self.looks += 1
            look(loop, key)

        def counted_of(watch: viewing._Watch, event: object) -> object:
            self.seen += 1
            return of(watch, event)  # type: ignore[arg-type]

        monkeypatch.setattr(loops.Loop, "_look", counted_look)
        monkeypatch.setattr(viewing._Watch, "_of", counted_of)


def watched(kube: Kube, name: str, stack: ExitStack) -> list[str]:
    """Names of the pods whose events a watch of one deployment's sees."""
    names: list[str] = []
    http = stack.enter_context(kube.http())
    query = {"watch": "1", "labelSelector": f"app.kubernetes.io/managed-by=dray,app.kubernetes.io/instance={name}"}
    answer = stack.enter_context(http.stream("GET", PODS, params=query))

    def follow() -> None:
        try:
            names.extend(json.loads(line)["object"]["metadata"]["name"] for line in answer.iter_lines())
        except (httpx.HTTPError, RuntimeError, ValueError):
            pass

    threading.Thread(target=follow, daemon=True).start()
    return names


def rolled_out(folder: Path, count: int, watches: int) -> None:
    """So many deployments of two pods, some of them watched, until all serve."""
    folder.mkdir()
    with kube_server(folder, Portless()) as kube, ExitStack() as stack:
        for number in range(watches):
            watched(kube, f"d{number}", stack)
        for number in range(count):
            kube.apply(deployment(f"d{number}", container={"readinessProbe": None})).raise_for_status()
            kube.apply(service(f"d{number}")).raise_for_status()

        def served() -> bool:
            found = [each.get("status", {}).get("availableReplicas") for each in kube.select("Deployment")]
            return found == [2] * count

        wait_until(served, timeout_s=60)


def test_looks_and_watch_events_grow_with_the_deployments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = Counts(monkeypatch), None
    rolled_out(tmp_path / "few", 10, 10)
    counted = few.looks, few.seen
    many = Counts(monkeypatch)
    rolled_out(tmp_path / "many", 40, 40)

    assert many.looks <= 4 * counted[0] * 1.5
    assert many.seen <= 4 * counted[1] * 1.5
