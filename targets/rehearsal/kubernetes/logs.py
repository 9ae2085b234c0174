"""What a container has written, once or as it goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from targets.rehearsal.clock import now
from targets.rehearsal.kubernetes import errors, resources
from targets.rehearsal.kubernetes.calls import Answer, Call, Stream
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.container_runs import ContainerRun
from targets.rehearsal.kubernetes.kubelet import Kubelet
from targets.rehearsal.kubernetes.store import Object

_LOOK_S: Final = 0.3
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}


async def logs(cluster: Cluster, kubelet: Kubelet, call: Call) -> Answer | Stream:
    """GET of ``pods/NAME/log``.

    Raises:
        ApiError: There is no such container, or it has not run.
    """
    pod = cluster.store.get(resources.PODS, call.namespace, call.name)
    if pod is None:
        raise errors.not_found(resources.PODS, call.name)
    name = _container(pod, call)
    run = kubelet.run_of(pod)
    container = run.container(name) if run is not None else None
    previous = call.flag("previous")
    started = container.run_id(previous=previous) if container is not None else ""
    if container is None or not started:
        raise _no_log(pod, name, container, previous=previous)
    tail = call.number("tailLines")
    stamped = call.flag("timestamps")
    if call.flag("follow") and not previous:
        return Stream(_followed(kubelet, container, started, tail, stamped=stamped), _TEXT)
    text = await kubelet.node.call(lambda: container.runner.logs(started, tail=tail))
    limit = call.number("limitBytes")
    text = text[:limit] if limit else text
    return Answer(200, _stamped(text) if stamped else text)


async def _followed(
    kubelet: Kubelet, container: ContainerRun, started: str, tail: int | None, *, stamped: bool
) -> AsyncIterator[bytes]:
    """Lines as they come, until the run has ended."""
    shown = _stamped if stamped else str
    text = await kubelet.node.call(lambda: container.runner.logs(started))
    seen = len(text)
    lines = text.splitlines(keepends=True)
    first = "".join(lines if tail is None else lines[max(len(lines) - tail, 0) :])
    if first:
        yield shown(first).encode()
    while True:
        ended = container.run_id(previous=False) != started or "running" not in container.standing.state
        text = await kubelet.node.call(lambda: container.runner.logs(started))
        if len(text) > seen:
            yield shown(text[seen:]).encode()
            seen = len(text)
        if ended or container.quit.is_set():
            return
        await asyncio.sleep(_LOOK_S)


def _container(pod: Object, call: Call) -> str:
    names = [each["name"] for each in pod["spec"]["containers"]]
    wanted = call.query.get("container")
    if wanted is None and len(names) > 1:
        listed = " ".join(names)
        words = f"a container name must be specified for pod {call.name}, choose one of: [{listed}]"
        raise errors.bad_request(words)
    if wanted is not None and wanted not in names:
        raise errors.bad_request(f"container {wanted} is not valid for pod {call.name}")
    return wanted or names[0]


def _no_log(pod: Object, name: str, container: ContainerRun | None, *, previous: bool) -> errors.ApiError:
    pod_name = pod["metadata"]["name"]
    if previous:
        return errors.bad_request(f'previous terminated container "{name}" in pod "{pod_name}" not found')
    waiting = container.standing.state.get("waiting", {}) if container is not None else {}
    reason = waiting.get("reason", "ContainerCreating")
    why = "is waiting to start"
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        why = "is waiting to start: trying and failing to pull image"
        return errors.bad_request(f'container "{name}" in pod "{pod_name}" {why}')
    return errors.bad_request(f'container "{name}" in pod "{pod_name}" {why}: {reason}')


def _stamped(text: str) -> str:
    moment = now()
    return "".join(f"{moment} {line}" for line in text.splitlines(keepends=True))
