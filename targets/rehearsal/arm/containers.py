"""One container of a group: runs, ends, and runs again as the group's restart policy says."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from targets.rehearsal.arm.events import EventLog
from targets.rehearsal.clock import now
from targets.rehearsal.workload import Runner, Workload, WorkloadStatus

RestartPolicy = Literal["Always", "OnFailure", "Never"]

# As Kubernetes has it, which ACI's containers behave like: at once, then 10 s, doubled up to 5 minutes.
FIRST_BACKOFF_S = 10.0
LONGEST_BACKOFF_S = 300.0
STOP_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a container is made of.

    Attributes:
        workload: Without an id of its own, as each start gets a new one.
    """

    name: str
    group: str
    workload: Workload
    policy: RestartPolicy


@dataclass(slots=True)
class ContainerRun:
    """A container from its first start to its removal.

    Attributes:
        lock: Held while it is started or ended, which may take long; who looks at it does not wait for that.
    """

    plan: Plan
    runner: Runner
    events: EventLog = field(default_factory=EventLog)
    restarts: int = 0
    id: str = ""
    previous: WorkloadStatus | None = None
    waiting: str = ""
    due: float = 0.0
    over: bool = False
    stopped: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        """For the first time, or again; not after its end."""
        with self.lock:
            if self.over:
                return
            old, new = self.id, f"{self.plan.group}-{self.plan.name}-{uuid.uuid4().hex[:12]}"
            self.events.add("Created", "Created container")
            try:
                self.runner.start(replace(self.plan.workload, id=new))
            except BaseException:
                self.runner.remove(new)
                raise
            self.events.add("Started", "Started container")
            self.id, self.waiting = new, ""
            if old:
                self.runner.remove(old)

    def status(self) -> WorkloadStatus:
        """How the present run is."""
        return self.runner.status(self.id) if self.id else WorkloadStatus("waiting")

    def tick(self) -> None:
        """See whether it ended, and run it again when it is time to."""
        with self.lock:
            if self.over or not self.id:
                return
            if self.waiting:
                if time.monotonic() >= self.due:
                    self._again()
                return
            status = self.status()
            if status.state == "terminated":
                self._ended(status)

    def kill(self, why: str) -> None:
        """End the present run, as a failed liveness probe does; the policy says what comes next."""
        with self.lock:
            if not self.over:
                self.events.add("Killing", why)
                self.runner.stop(self.id, grace_s=STOP_GRACE_S)

    def stop(self) -> None:
        """End it for good; it stays to be looked at."""
        self.over = True
        with self.lock:
            self.waiting = ""
            status = self.status()
            if self.id and status.state != "terminated":
                self.events.add("Killing", f"Killing container {self.plan.name} (platform initiated).")
                self.runner.stop(self.id, grace_s=STOP_GRACE_S)
                self.previous, self.stopped = status, True

    def remove(self) -> None:
        """Leave nothing of it."""
        self.over = True
        with self.lock:
            if self.id:
                self.runner.remove(self.id)

    def logs(self, tail: int | None) -> str:
        """Of the present run, or of the last one until the next starts."""
        return self.runner.logs(self.id, tail=tail) if self.id else ""

    def view(self) -> Mapping[str, object]:
        """Its ``instanceView``."""
        waiting = self.waiting
        state = {"state": "Waiting", "detailStatus": waiting} if waiting else shown(self.status(), stopped=self.stopped)
        view: dict[str, object] = {"restartCount": self.restarts, "currentState": state}
        if self.previous is not None:
            view["previousState"] = shown(self.previous)
        view["events"] = self.events.entries()
        return view

    def _again(self) -> None:
        self.restarts += 1
        # Set before the start, which clears it: one that cannot be started is waited with like one that crashed.
        self._wait(self._backoff_s())
        self.start()

    def _wait(self, backoff_s: float) -> None:
        self.waiting = f"CrashLoopBackOff: Back-off {backoff_s:g}s restarting failed"
        self.due = time.monotonic() + backoff_s

    def _ended(self, status: WorkloadStatus) -> None:
        if self.plan.policy == "Never" or (self.plan.policy == "OnFailure" and status.exit_code == 0):
            self.over = True
            return
        self.previous = status
        backoff_s = self._backoff_s()
        if not backoff_s:
            self._again()
            return
        self._wait(backoff_s)
        self.events.add("BackOff", "Back-off restarting failed container", warning=True)

    def _backoff_s(self) -> float:
        return min(FIRST_BACKOFF_S * 2 ** (self.restarts - 1), LONGEST_BACKOFF_S) if self.restarts else 0.0


def shown(status: WorkloadStatus, *, stopped: bool = False) -> Mapping[str, object]:
    """A run's state, as an ``instanceView`` has it.

    Args:
        stopped: By a request. Source: a recording of Azure/azure-powershell, Stop-AzContainerGroup.
    """
    if status.state == "waiting":
        return {"state": "Waiting", "detailStatus": ""}
    if status.state == "running":
        return {"state": "Running", "startTime": status.started_at or now(), "detailStatus": ""}
    if stopped:
        words = "Container stopped per client request"
        return {"state": "Terminated", "finishTime": status.finished_at or now(), "detailStatus": words}
    end: dict[str, object] = {"state": "Terminated"}
    if status.started_at:
        end["startTime"] = status.started_at
    end["exitCode"] = status.exit_code if status.exit_code is not None else 1
    end["finishTime"] = status.finished_at or now()
    end["detailStatus"] = status.reason or ("Error" if status.exit_code else "Completed")
    return end
