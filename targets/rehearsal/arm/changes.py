"""What requests change: groups are made, replaced in place, stopped, started and deleted, each in a thread."""

import base64
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from targets.rehearsal.addresses import PortTaken
from targets.rehearsal.arm.bodies import ContainerGroup
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.container_bodies import Container, ContainerProperties, InitContainer
from targets.rehearsal.arm.containers import ContainerRun, Plan, RestartPolicy
from targets.rehearsal.arm.endings import come_to
from targets.rehearsal.arm.errors import ArmError, internal, port_in_use_here
from targets.rehearsal.arm.events import EventLog
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.operations import Operation
from targets.rehearsal.arm.staging import Staging
from targets.rehearsal.arm.supervision import supervise
from targets.rehearsal.workload import Runner, Workload

logger = logging.getLogger(__name__)

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is accepted, and goes on in a thread once its request is answered."""

    group: Group
    operation: Operation
    work: Callable[[], None]

    def begin(self) -> None:
        """Go on."""
        threading.Thread(target=self._whole, name=f"change of {self.group.id.name}", daemon=True).start()

    def _whole(self) -> None:
        error: ArmError | None = None
        try:
            self.work()
        except ArmError as caught:
            error = caught
        except PortTaken as taken:
            error = port_in_use_here(taken)
        except Exception:
            logger.exception("unexpected, while %s changes", self.group.id.name)
            error = internal(self.operation.id, self.operation.id)
        with self.group.lock:
            if self.operation is self.group.operation:  # else a delete took its place
                self.group.changing = False
                if error is not None:
                    self.group.provisioning = "Failed"
        if error is not None:
            self.operation.fail(error)
        else:
            self.operation.succeed()


def deploy(cloud: Cloud, group: Group, body: ContainerGroup, staging: Staging) -> Change:
    """Run what a body says instead of what runs now; the images are here already.

    The same body again, as a restart has it, keeps what happened to its containers.
    """
    operation = cloud.operate(group)
    updates = group.shown
    with group.lock:
        group.operation, group.shown, group.provisioning = operation, True, "Pending"
        old, group.runs, group.init_runs = [*group.init_runs, *group.runs], [], []
        kept = {run.plan.name: run.events for run in old} if updates and body is group.body else {}
        group.quit.set()
        group.body, group.stopped, group.struck = body, False, not staging.sound
    cloud.tell()
    return Change(group, operation, partial(_replace, cloud, group, old, staging, kept))


def stop(cloud: Cloud, group: Group) -> Change:
    """End its containers; ``changing`` is set already."""
    operation = cloud.operate(group)
    group.quit.set()
    group.operation = operation

    def work() -> None:
        for run in (*group.init_runs, *group.runs):
            run.stop()
        with group.lock:
            group.stopped, group.provisioning = True, "Succeeded"

    return Change(group, operation, work)


def delete(cloud: Cloud, group: Group) -> Change:
    """End it and all that it ran; ``changing`` is set already."""
    operation = cloud.operate(group)
    group.quit.set()
    with group.lock:
        group.operation, group.provisioning = operation, "Deleting"

    def work() -> None:
        for run in (*group.runs, *group.init_runs):
            run.stop()
            run.remove()
        cloud.forget(group)

    return Change(group, operation, work)


def _replace(
    cloud: Cloud, group: Group, old: list[ContainerRun], staging: Staging, kept: Mapping[str, EventLog]
) -> None:
    for run in old:
        run.stop()
        run.remove()
    _move(cloud, group)
    with group.lock:
        group.provisioning = "Updating" if old else "Creating"
        group.quit = threading.Event()
        group.init_runs = [_run_of(group, each, staging.runner) for each in group.body.properties.init_containers or ()]
        group.runs = [_run_of(group, each, staging.runner) for each in group.body.properties.containers]
    come_to(staging.ending, group)
    for run in (*group.init_runs, *group.runs):
        if run.plan.name in kept:
            run.events = kept[run.plan.name]
        else:
            image = staging.digests.get(run.plan.workload.image, run.plan.workload.image)
            run.events.add("Pulling", f'pulling image "{image}"')
            run.events.add("Pulled", f'Successfully pulled image "{image}"')
    for run in group.init_runs:
        _complete(run, group)
    for run in group.runs:
        run.start()
    for run in group.runs:
        while run.status().state == "waiting" and not group.quit.wait(POLL_S):
            pass
    with group.lock:
        group.provisioning = "Succeeded"
        if staging.sound:
            group.sound.append(group.body.properties.containers)
    supervise(group)


def _move(cloud: Cloud, group: Group) -> None:
    """The address that the body asks for: the same, unless the label is another one."""
    wanted = group.body.properties.ip_address
    label = wanted.dns_name_label if wanted is not None else None
    if group.address is not None and label == group.label:
        return
    if group.address is not None:
        cloud.addresses.give_back(group.address)
    ports = {port.port for each in group.body.properties.containers for port in each.properties.ports or ()}
    with group.lock:
        group.label, group.address = label, cloud.addresses.take(label, ports)


def _complete(run: ContainerRun, group: Group) -> None:
    """An init container, to its end."""
    run.start()
    while (status := run.status()).state != "terminated":
        if group.quit.wait(POLL_S):
            return
    run.over = True
    if status.exit_code:
        message = f"The init container '{run.plan.name}' of '{group.id.name}' ended with exit code {status.exit_code}."
        raise ArmError(409, "InitContainerFailed", message)


def _run_of(group: Group, container: Container | InitContainer, runner: Runner) -> ContainerRun:
    properties = container.properties
    requests = properties.resources.requests if isinstance(properties, ContainerProperties) else None
    ports = properties.ports if isinstance(properties, ContainerProperties) else None
    policy: RestartPolicy = group.body.properties.restart_policy or "Always"
    workload = Workload(
        id="",
        image=properties.image or "",
        address=group.address or "127.0.0.1",
        ports=tuple(port.port for port in ports or ()),
        environment={
            each.name: each.secure_value or each.value or "" for each in properties.environment_variables or ()
        },
        files=_files(group.body, container),
        command=tuple(properties.command or ()),
        cpus=requests.cpu if requests else None,
        memory_mib=int(requests.memory_in_gb * 1024) if requests else None,
    )
    return ContainerRun(Plan(container.name, group.id.name, workload, policy), runner)


def _files(body: ContainerGroup, container: Container | InitContainer) -> Mapping[str, bytes]:
    secrets = {volume.name: volume.secret for volume in body.properties.volumes or () if volume.secret is not None}
    return {
        f"/{mount.mount_path.strip('/')}/{name}": base64.b64decode(value)
        for mount in container.properties.volume_mounts or ()
        for name, value in secrets.get(mount.name, {}).items()
    }
