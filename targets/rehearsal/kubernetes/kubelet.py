"""The scheduler and kubelet: pods onto the node, from their start to their end."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.addresses import PortTaken
from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import resources
from targets.rehearsal.kubernetes.cluster import NODE, Cluster, deleting
from targets.rehearsal.kubernetes.conditions import with_condition
from targets.rehearsal.kubernetes.container_runs import ContainerRun
from targets.rehearsal.kubernetes.happenings import Happenings
from targets.rehearsal.kubernetes.node import Node
from targets.rehearsal.kubernetes.replica_sets import is_ready
from targets.rehearsal.kubernetes.staging import runner_for
from targets.rehearsal.kubernetes.store import Event, Object, key_of

logger = logging.getLogger(__name__)

_RETRY_S: Final = 2.0
_NO_ROOM: Final = (
    "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
    "1 No preemption victims found for incoming pod."
)


class PodRun:
    """One pod."""

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.containers: list[ContainerRun] = []
        self.address = ""
        self.quit = asyncio.Event()
        self.ending = False
        self.begun = now()

    def container(self, name: str) -> ContainerRun | None:
        """By name; None for one that has not been made."""
        return next((each for each in self.containers if each.name == name), None)


class Kubelet:
    """Runs the pods of the cluster."""

    def __init__(self, cluster: Cluster, happenings: Happenings) -> None:
        self._cluster = cluster
        self._happenings = happenings
        self._runs: dict[str, PodRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.node = Node(cluster, happenings, self._publish)
        cluster.store.listen(resources.PODS, self._heard)

    def run_of(self, pod: Object) -> PodRun | None:
        """What runs for a pod."""
        return self._runs.get(pod["metadata"]["uid"])

    async def end(self) -> None:
        """End all pods, at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        runs = [container for run in self._runs.values() for container in run.containers]
        await asyncio.gather(*(each.forget() for each in runs), return_exceptions=True)
        await self.node.close()

    def _heard(self, event: Event) -> None:
        uid = event.found["metadata"]["uid"]
        if event.change == "ADDED":
            self._runs[uid] = run = PodRun(event.found)
            self._spawn(self._live(run))
            return
        known = self._runs.get(uid)
        if known is None or not (event.change == "DELETED" or deleting(event.found)):
            return
        known.quit.set()
        if not known.ending:
            known.ending = True
            grace = event.found["metadata"].get("deletionGracePeriodSeconds", 0) if event.change != "DELETED" else 0
            self._spawn(self._end_pod(known, float(grace)))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("a pod's task ended", exc_info=error)

    async def _live(self, run: PodRun) -> None:
        if not await self._scheduled(run):
            return
        spec = run.pod["spec"]
        runner, hangs = runner_for(self._cluster, run.pod), self._cluster.strikes.at_pod(run.pod, "probe")
        for each in spec["containers"]:
            container = ContainerRun(self.node, run.pod, each, run.address, runner)
            container.hangs = hangs
            run.containers.append(container)
        self._publish(run.pod)
        await asyncio.gather(*(each.live() for each in run.containers))

    async def _scheduled(self, run: PodRun) -> bool:
        """Whether the pod has got a node; False where it ended before."""
        while message := self._no_room(run):
            self._happenings.add(run.pod, "FailedScheduling", message, source="default-scheduler", warning=True)
            live = self._cluster.store.get(resources.PODS, *key_of(run.pod))
            conditions = (live or run.pod).get("status", {}).get("conditions")
            conditions = with_condition(
                conditions, "PodScheduled", holds=False, reason="Unschedulable", message=message
            )
            self._cluster.set_status(resources.PODS, run.pod, conditions=conditions)
            try:
                await asyncio.wait_for(run.quit.wait(), _RETRY_S)
            except TimeoutError:
                continue
            return False
        bound = self._cluster.change(resources.PODS, run.pod, lambda new: new["spec"].update(nodeName=NODE))
        if bound is None or run.quit.is_set():
            return False
        run.pod = bound
        metadata = bound["metadata"]
        words = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {NODE}"
        self._happenings.add(bound, "Scheduled", words, source="default-scheduler")
        return True

    def _no_room(self, run: PodRun) -> str:
        """Why there is no node for a pod; empty where there is, and it has got its address there."""
        if self._cluster.strikes.at_pod(run.pod, "unschedulable"):
            return _NO_ROOM
        ports = [port["containerPort"] for each in run.pod["spec"]["containers"] for port in each.get("ports", ())]
        try:
            run.address = self._cluster.addresses.take(None, ports)
        except PortTaken as taken:
            return f"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports: {taken}."
        return ""

    async def _end_pod(self, run: PodRun, grace_s: float) -> None:
        self._publish(run.pod)
        for each in run.containers:
            if grace_s:
                self.node.tell(run.pod, "Killing", f"Stopping container {each.name}")
        await asyncio.gather(*(self._end_container(each, grace_s) for each in run.containers))
        await asyncio.gather(*(each.forget() for each in run.containers))
        if run.address:
            self._cluster.addresses.give_back(run.address)
        self._runs.pop(run.pod["metadata"]["uid"], None)
        live = self._cluster.store.get(resources.PODS, *key_of(run.pod))
        if live is not None and live["metadata"]["uid"] == run.pod["metadata"]["uid"]:
            self._cluster.store.remove(resources.PODS, *key_of(run.pod))

    async def _end_container(self, container: ContainerRun, grace_s: float) -> None:
        before = (container.spec.get("lifecycle") or {}).get("preStop") or {}
        waits_s = min(_sleep_of(before), grace_s)
        if waits_s and container.standing.state.get("running"):
            await asyncio.sleep(waits_s)
        # A kubelet gives what ran into its time a little longer.
        await container.stop(max(grace_s - waits_s, 0.5))

    def _publish(self, pod: Object) -> None:
        """Write a pod's status as its containers stand."""
        run = self._runs.get(pod["metadata"]["uid"])
        live = self._cluster.store.get(resources.PODS, *key_of(pod))
        if run is None or live is None:
            return
        shown = self._cluster.set_status(resources.PODS, live, **_status(run, live, going=deleting(live)))
        if shown is not None and is_ready(shown):
            self._cluster.strikes.serves(shown)


def _status(run: PodRun, live: Object, *, going: bool) -> dict[str, Any]:
    statuses = [each.status() for each in run.containers]
    if going:
        statuses = [{**each, "ready": False} for each in statuses]
    ready = bool(statuses) and all(each["ready"] for each in statuses)
    conditions = live.get("status", {}).get("conditions")
    names = [each["name"] for each in statuses if not each["ready"]]
    words = {} if ready else {"reason": "ContainersNotReady", "message": f"containers with unready status: {names}"}
    conditions = with_condition(conditions, "PodScheduled", holds=True)
    conditions = with_condition(conditions, "Initialized", holds=True)
    conditions = with_condition(conditions, "ContainersReady", holds=ready, **words)
    conditions = with_condition(conditions, "Ready", holds=ready, **words)
    return {
        "phase": _phase([each["state"] for each in statuses], live["spec"]["restartPolicy"]),
        "conditions": conditions,
        "hostIP": "127.0.0.1",
        "podIP": run.address or None,
        "podIPs": [{"ip": run.address}] if run.address else None,
        "startTime": run.begun,
        "containerStatuses": statuses,
    }


def _phase(states: list[Mapping[str, Any]], policy: str) -> str:
    if any("running" in each for each in states):
        return "Running"
    codes = [each["terminated"]["exitCode"] for each in states if "terminated" in each]
    if codes and len(codes) == len(states):
        if policy == "Never" or (policy == "OnFailure" and not any(codes)):
            return "Failed" if any(codes) else "Succeeded"
        return "Running"
    reasons = [each["waiting"].get("reason") for each in states if "waiting" in each]
    return "Running" if "CrashLoopBackOff" in reasons else "Pending"


def _sleep_of(handler: Mapping[str, Any]) -> float:
    """How long a preStop handler takes that only sleeps; others are not rehearsed and take no time."""
    if "sleep" in handler:
        return float(handler["sleep"]["seconds"])
    command = handler.get("exec", {}).get("command", [])
    last = command[-1].split() if command else []
    return float(last[-1]) if "sleep" in " ".join(command) and last[-1].replace(".", "", 1).isdecimal() else 0.0
