"""Liveness and readiness probes, carried out over HTTP as a kubelet does it."""

import logging
import time
from dataclasses import dataclass, field
from typing import Literal

import httpx

from targets.rehearsal.arm.container_bodies import ContainerHttpGet, ContainerProbe
from targets.rehearsal.arm.containers import ContainerRun

logger = logging.getLogger(__name__)

# What a probe that does not say has. Source: "Configure liveness probes" on Microsoft Learn.
PERIOD_S, TIMEOUT_S, FAILURES, SUCCESSES = 10, 1, 3, 1


@dataclass(slots=True)
class Probe:
    """One probe of a container, over all its runs.

    Attributes:
        passed: Whether enough of the last ones succeeded; a readiness probe begins with no, a liveness probe with yes.
    """

    kind: Literal["Liveness", "Readiness"]
    asked: ContainerProbe
    run: ContainerRun
    passed: bool = False
    _run_id: str = ""
    _due: float = 0.0
    _in_a_row: tuple[bool, int] = field(default=(True, 0))

    def tick(self) -> None:
        """Probe, if it is time to."""
        self._begin_with(self.run.id)
        if self.run.status().state != "running" or time.monotonic() < self._due:
            return
        why = _failure(self.asked.http_get, self.run.plan.workload.address, self.asked.timeout_seconds or TIMEOUT_S)
        self._due = time.monotonic() + (self.asked.period_seconds or PERIOD_S)
        succeeded = not why
        before, times = self._in_a_row
        self._in_a_row = succeeded, times + 1 if before == succeeded else 1
        if why:
            self.run.events.add("Unhealthy", f"{self.kind} probe failed: {why}", warning=True)
        self._judge()

    def _begin_with(self, run_id: str) -> None:
        if run_id == self._run_id:
            return
        self._run_id, self._in_a_row = run_id, (True, 0)
        self.passed = self.kind == "Liveness"
        self._due = time.monotonic() + (self.asked.initial_delay_seconds or 0)

    def _judge(self) -> None:
        succeeded, times = self._in_a_row
        if succeeded and times >= (self.asked.success_threshold or SUCCESSES):
            self.passed = True
        elif not succeeded and times >= (self.asked.failure_threshold or FAILURES):
            self.passed = False
            if self.kind == "Liveness":
                self.run.kill(f"Container {self.run.plan.name} failed liveness probe, will be restarted")


def probes_of(run: ContainerRun, liveness: ContainerProbe | None, readiness: ContainerProbe | None) -> list[Probe]:
    """Those that a container has."""
    probes = [Probe("Liveness", liveness, run)] if liveness is not None else []
    return [*probes, Probe("Readiness", readiness, run)] if readiness is not None else probes


def _failure(asked: ContainerHttpGet | None, address: str, timeout_s: int) -> str:
    """Why a probe failed, in a kubelet's words; empty where it succeeded."""
    if asked is None:
        return ""
    url = f"{asked.scheme or 'http'}://{address}:{asked.port}/{(asked.path or '/').removeprefix('/')}"
    headers = [(each.name, each.value or "") for each in asked.http_headers or () if each.name]
    try:
        # A kubelet does not verify certificates, and follows no redirection to another host.
        with httpx.Client(verify=False, timeout=timeout_s, trust_env=False) as client:  # noqa: S501
            status = client.get(url, headers=headers).status_code
    except httpx.TimeoutException:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except httpx.ConnectError:
        return f'Get "{url}": dial tcp {address}:{asked.port}: connect: connection refused'
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return f'Get "{url}": {error}'
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"
