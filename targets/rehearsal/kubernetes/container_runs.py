"""One container of a pod: pulled, started, probed, restarted with back-off, as a kubelet does it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes.clock import shown
from targets.rehearsal.kubernetes.node import Node
from targets.rehearsal.kubernetes.probing import Kind, Target, Verdicts, probe
from targets.rehearsal.kubernetes.pulling import NotPulled, credential_for, refused, staged_refusal
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.kubernetes.workloads import NotYet, workload_of
from targets.rehearsal.workload import PullRefused, Runner, WorkloadStatus

State = Mapping[str, Any]

# As kubelets have it: the first restart at once, then 10 s, doubled up to five minutes.
BACKOFF_S: Final = 10.0
LONGEST_BACKOFF_S: Final = 300.0
_WELL_S: Final = 600.0
_LOOK_S: Final = 0.2
_SLOW_LOOK_S: Final = 1.0
_YOUNG_S: Final = 15.0
_RETRY_S: Final = 2.0
_MESSAGE_LINES, _MESSAGE_BYTES = 80, 2048


@dataclass(slots=True)
class Standing:
    """What a container's status says.

    Attributes:
        started: Whether its startup probe has passed.
        stamp: When the run that goes on began, by the loop's clock.
    """

    state: State = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: State = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False
    image_id: str = ""
    stamp: float = 0.0


class ContainerRun:
    """From its first pull to its end."""

    def __init__(self, node: Node, pod: Object, container: Mapping[str, Any], address: str, runner: Runner) -> None:
        self.node = node
        self.pod = pod
        self.spec = container
        self.address = address
        self.runner = runner
        self.name: str = container["name"]
        self.standing = Standing()
        self.ids: list[str] = []
        self.quit = asyncio.Event()
        self.hangs = False
        self._backoff_s = 0.0
        self._ill = ""
        self._probes: list[asyncio.Task[None]] = []

    async def live(self) -> None:
        """Until the pod ends."""
        while not self.quit.is_set():
            if not await self._pulled():
                continue
            status = await self._run() if not self.quit.is_set() else None
            if status is None or self.quit.is_set():
                continue
            again = self._ended(status)
            if not again:
                return
            await self._wait_to_restart()

    async def stop(self, grace_s: float) -> None:
        """End it; its log stays until it is forgotten."""
        self.quit.set()
        if self.ids:
            await self.node.call(lambda: self.runner.stop(self.ids[-1], grace_s=grace_s))

    async def forget(self) -> None:
        """Its runs, with all that is left of them."""
        self._end_probes()
        for each in self.ids:
            await self.node.call(partial(self.runner.remove, each))
        self.ids.clear()

    def run_id(self, *, previous: bool) -> str:
        """Of the run that logs are asked of; empty where there is none."""
        position = 2 if previous else 1
        return self.ids[-position] if len(self.ids) >= position else ""

    def status(self) -> dict[str, Any]:
        """As the pod's status has it."""
        standing = self.standing
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": standing.image_id,
            "ready": standing.ready,
            "started": standing.started,
            "restartCount": standing.restarts,
            "state": standing.state,
            "lastState": standing.last,
            **({"containerID": f"rehearsal://{self.ids[-1]}"} if self.ids else {}),
        }

    async def _pulled(self) -> bool:
        """Whether the image is here; after a refusal, once it is time to try again."""
        image = self.spec["image"]
        self._event("Pulling", f'Pulling image "{image}"')
        try:
            staged_refusal(self.node.cluster, self.pod, image)
            credential = credential_for(self.node.cluster, self.pod, image)
            digest = await self.node.call(lambda: self.runner.pull(image, credential))
        except (NotPulled, PullRefused) as refusal:
            words = refused(image, refusal) if isinstance(refusal, PullRefused) else refusal
            await self._pull_later(str(words))
            return False
        self._event("Pulled", f'Successfully pulled image "{image}"')
        self.standing.image_id = image if "@" in image else f"{image}@{digest}"
        self._backoff_s = 0.0 if "waiting" in self.standing.state and not self.ids else self._backoff_s
        return True

    async def _pull_later(self, words: str) -> None:
        image = self.spec["image"]
        self._event("Failed", f'Failed to pull image "{image}": {words}', warning=True)
        self._event("Failed", "Error: ErrImagePull", warning=True)
        self._waits("ErrImagePull", words)
        await self.pause(_LOOK_S)
        self._backoff_s = min(self._backoff_s * 2 or BACKOFF_S, LONGEST_BACKOFF_S)
        self._event("BackOff", f'Back-off pulling image "{image}"')
        self._event("Failed", "Error: ImagePullBackOff", warning=True)
        self._waits("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {words}')
        await self.pause(self._backoff_s)

    async def _run(self) -> WorkloadStatus | None:
        """Run it once; how it ended, None where it could not be made."""
        number = len(self.ids) + self.standing.restarts
        name = f"{self.pod['metadata']['uid']}-{self.name}-{number}"
        try:
            if self.node.cluster.strikes.at_pod(self.pod, "config"):
                raise NotYet("CreateContainerConfigError", 'secret "rehearsed" not found')
            workload = workload_of(self.node.cluster, self.pod, self.spec, id=name, address=self.address)
        except NotYet as error:
            await self._make_later(error)
            return None
        self._event("Created", f"Created container: {self.name}")
        await self.node.call(lambda: self.runner.start(workload))
        self.ids.append(name)
        if self.quit.is_set():
            # The pod ended while it started, and whoever ended it found nothing to stop.
            await self.forget()
            return None
        self._event("Started", f"Started container {self.name}")
        return await self._watch(name)

    async def _make_later(self, error: NotYet) -> None:
        if error.reason == "FailedMount":
            self._event("FailedMount", str(error), warning=True)
            self._waits("ContainerCreating", "")
        else:
            self._event("Failed", f"Error: {error}", warning=True)
            self._waits(error.reason, str(error))
        await self.pause(_RETRY_S)

    async def _watch(self, name: str) -> WorkloadStatus:
        """Until it ends, by itself or because its liveness probe wants that."""
        loop = asyncio.get_running_loop()
        standing = self.standing
        standing.stamp, self._ill = loop.time(), ""
        begun = now()
        standing.state = {"running": {"startedAt": begun}}
        standing.started = "startupProbe" not in self.spec
        standing.ready = standing.started and "readinessProbe" not in self.spec
        self._begin_probes()
        self.node.publish(self.pod)
        try:
            while True:
                status = await self.node.call(lambda: self.runner.status(name))
                if status.state == "terminated":
                    return status
                if self._ill:
                    return await self._killed(name, begun)
                young = loop.time() - standing.stamp < _YOUNG_S
                await self.pause(_LOOK_S if young else _SLOW_LOOK_S)
                if self.quit.is_set():
                    return status
        finally:
            self._end_probes()

    async def _killed(self, name: str, begun: str) -> WorkloadStatus:
        self._event("Killing", self._ill)
        grace = self.pod["spec"].get("terminationGracePeriodSeconds", 30)
        await self.node.call(lambda: self.runner.stop(name, grace_s=min(grace, _RETRY_S) if self.hangs else grace))
        status = await self.node.call(lambda: self.runner.status(name))
        code = status.exit_code if status.exit_code is not None else 137
        return WorkloadStatus("terminated", code, status.reason or "Error", status.started_at or begun, now())

    def _ended(self, status: WorkloadStatus) -> bool:
        """Note its end; whether it shall run again."""
        code = status.exit_code if status.exit_code is not None else 1
        end: dict[str, Any] = {
            "exitCode": code,
            "reason": status.reason or ("Error" if code else "Completed"),
            "startedAt": shown(status.started_at),
            "finishedAt": shown(status.finished_at),
            "containerID": f"rehearsal://{self.ids[-1]}",
        }
        standing = self.standing
        standing.ready = standing.started = False
        standing.state = {"terminated": end}
        policy = self.pod["spec"]["restartPolicy"]
        again = policy == "Always" or (policy == "OnFailure" and code != 0)
        self.node.publish(self.pod)
        return again

    async def _wait_to_restart(self) -> None:
        standing = self.standing
        end = dict(standing.state["terminated"])
        if end["exitCode"] and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            words = await self.node.call(lambda: self.runner.logs(self.ids[-1], tail=_MESSAGE_LINES))
            end["message"] = words[-_MESSAGE_BYTES:]
        standing.last = {"terminated": end}
        if asyncio.get_running_loop().time() - standing.stamp > _WELL_S:
            self._backoff_s = 0.0
        if standing.restarts:
            self._backoff_s = min(self._backoff_s * 2 or BACKOFF_S, LONGEST_BACKOFF_S)
            metadata = self.pod["metadata"]
            named = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
            self._event("BackOff", f"Back-off restarting failed container {self.name} in pod {named}", warning=True)
            words = f"back-off {self._backoff_s:g}s restarting failed container={self.name} pod={named}"
            self._waits("CrashLoopBackOff", words)
            await self.pause(self._backoff_s)
        if len(self.ids) > 1:
            oldest = self.ids.pop(0)
            await self.node.call(lambda: self.runner.remove(oldest))
        standing.restarts += 1

    async def pause(self, seconds: float) -> None:
        """So long, or until the pod ends."""
        try:
            await asyncio.wait_for(self.quit.wait(), seconds)
        except TimeoutError:
            pass

    def _begin_probes(self) -> None:
        ports = {each["name"]: each["containerPort"] for each in self.spec.get("ports", ()) if "name" in each}
        target = Target(self.address, ports, self.node.client, self._hanging)
        verdicts = Verdicts(self._probe_failed, self._probe_decided)
        kinds: Sequence[Kind] = ("Liveness", "Readiness") if self.standing.started else ("Startup",)
        for kind in kinds:
            asked = self.spec.get(f"{kind.lower()}Probe")
            if asked is not None:
                self._probes.append(asyncio.ensure_future(probe(kind, asked, target, verdicts)))

    def _hanging(self) -> bool:
        return self.hangs and self.standing.started

    def _end_probes(self) -> None:
        for each in self._probes:
            each.cancel()
        self._probes.clear()

    def _probe_failed(self, kind: Kind, why: str) -> None:
        self._event("Unhealthy", f"{kind} probe failed: {why}", warning=True)

    def _probe_decided(self, kind: Kind, passed: bool) -> None:
        if kind == "Readiness":
            if self.standing.ready != passed:
                self.standing.ready = passed
                self.node.publish(self.pod)
        elif kind == "Startup" and passed:
            self.standing.started = True
            self.standing.ready = "readinessProbe" not in self.spec
            self._begin_probes()
            self.node.publish(self.pod)
        elif not passed:
            self._ill = f"Container {self.name} failed {kind.lower()} probe, will be restarted"

    def _waits(self, reason: str, message: str) -> None:
        self.standing.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.node.publish(self.pod)

    def _event(self, reason: str, message: str, *, warning: bool = False) -> None:
        self.node.tell(self.pod, reason, message, warning=warning)
