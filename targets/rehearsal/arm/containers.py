"""One container of a group: runs, ends, and runs again as the group's restart policy says."""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from targets.rehearsal.arm.clock import now
from targets.rehearsal.arm.events import EventLog
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
        image: Its digest or name, as events name it.
    """

    name: str
    group: str
    workload: Workload
    policy: RestartPolicy


@dataclass(slots=True)
class ContainerRun:
    """A container from its first start to its removal; one thread at a time changes it, any may look."""

    plan: Plan
    runner: Runner
    events: EventLog = field(default_factory=EventLog)
    restarts: int = 0
    id: str = ""
    previous: WorkloadStatus | None = None
    waiting: str = ""
    due: float = 0.0
    over: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    def start(self) -> None:
        """For the first time, or again."""
        with self.lock:
            if self.id:
                self.runner.remove(self.id)
            self.id = f"{self.plan.group}-{self.plan.name}-{uuid.uuid4().hex[:12]}"
            self.waiting, self.over = "", False
            self.events.add("Created", "Created container")
            self.runner.start(replace(self.plan.workload, id=self.id))
            self.events.add("Started", "Started container")

    def status(self) -> WorkloadStatus:
        """How the present run is."""
        with self.lock:
            return self.runner.status(self.id) if self.id else WorkloadStatus("waiting")

    def tick(self) -> None:
        """See whether it ended, and run it again when it is time to."""
        with self.lock:
            if self.over or not self.id:
                return
            if self.waiting:
                if time.monotonic() >= self.due:
                    self.restarts += 1
                    self.start()
                return
            status = self.runner.status(self.id)
            if status.state == "terminated":
                self._ended(status)

    def kill(self, why: str) -> None:
        """End the present run, as a failed liveness probe does; the policy says what comes next."""
        with self.lock:
            self.events.add("Killing", why)
            self.runner.stop(self.id, grace_s=STOP_GRACE_S)

    def stop(self) -> None:
        """End it for good; it stays to be looked at."""
        with self.lock:
            self.over, self.waiting = True, ""
            if self.id and self.runner.status(self.id).state != "terminated":
                self.events.add("Killing", f"Killing container with id {self.id}.")
                self.runner.stop(self.id, grace_s=STOP_GRACE_S)

    def remove(self) -> None:
        """Leave nothing of it."""
        with self.lock:
            self.over = True
            if self.id:
                self.runner.remove(self.id)

    def logs(self, tail: int | None) -> str:
        """Of the present run, or of the last one until the next starts."""
        with self.lock:
            return self.runner.logs(self.id, tail=tail) if self.id else ""

    def view(self) -> Mapping[str, object]:
        """Its ``instanceView``."""
        with self.lock:
            view: dict[str, object] = {"restartCount": self.restarts, "currentState": self._state()}
            if self.previous is not None:
                view["previousState"] = shown(self.previous)
            view["events"] = self.events.entries()
            return view

    def _state(self) -> Mapping[str, object]:
        if self.waiting:
            return {"state": "Waiting", "detailStatus": self.waiting}
        return shown(self.status())

    def _ended(self, status: WorkloadStatus) -> None:
        failed = status.exit_code != 0
        if self.plan.policy == "Never" or (self.plan.policy == "OnFailure" and not failed):
            self.over = True
            return
        self.previous = status
        backoff_s = self._backoff_s()
        if not backoff_s:
            self.restarts += 1
            self.start()
            return
        self.waiting = f"CrashLoopBackOff: Back-off {backoff_s:g}s restarting failed"
        self.due = time.monotonic() + backoff_s
        self.events.add("BackOff", "Back-off restarting failed container", warning=True)

    def _backoff_s(self) -> float:
        return min(FIRST_BACKOFF_S * 2 ** (self.restarts - 1), LONGEST_BACKOFF_S) if self.restarts else 0.0


def shown(status: WorkloadStatus) -> Mapping[str, object]:
    """A run's state, as an ``instanceView`` has it."""
    if status.state == "waiting":
        return {"state": "Waiting", "detailStatus": ""}
    if status.state == "running":
        return {"state": "Running", "startTime": status.started_at or now(), "detailStatus": ""}
    end: dict[str, object] = {"state": "Terminated"}
    if status.started_at:
        end["startTime"] = status.started_at
    end["exitCode"] = status.exit_code if status.exit_code is not None else 1
    end["finishTime"] = status.finished_at or now()
    end["detailStatus"] = status.reason or ("Error" if status.exit_code else "Completed")
    return end
