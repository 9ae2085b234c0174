"""What requests change: groups are made, replaced in place, stopped, started and deleted, each in a thread."""

import base64
import threading
from collections.abc import Callable, Mapping
from functools import partial

from targets.rehearsal.arm.bodies import Container, ContainerGroup, ContainerProperties, InitContainer
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.containers import ContainerRun, Plan, RestartPolicy
from targets.rehearsal.arm.errors import ArmError
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.operations import Operation
from targets.rehearsal.arm.supervision import supervise
from targets.rehearsal.workload import Runner, Workload

POLL_S = 0.1


def deploy(cloud: Cloud, group: Group, body: ContainerGroup, runner: Runner) -> Operation:
    """Run what a body says instead of what runs now; the images are here already."""
    operation = cloud.operate(group)
    updates = group.shown
    with group.lock:
        group.operation, group.shown, group.provisioning = operation, True, "Pending"
        old, group.runs, group.init_runs = [*group.init_runs, *group.runs], [], []
        old_address = group.address
        group.quit.set()
        group.body, group.stopped = body, False
    _run(cloud, group, operation, partial(_replace, cloud, group, old, old_address, runner, updates))
    cloud.tell()
    return operation


def restart(cloud: Cloud, group: Group, runner: Runner) -> Operation:
    """Run all its containers anew; ``changing`` is set already."""
    return deploy(cloud, group, group.body, runner)


def stop(cloud: Cloud, group: Group) -> None:
    """End its containers; ``changing`` is set already."""
    group.quit.set()

    def work() -> None:
        for run in group.runs:
            run.stop()
        with group.lock:
            group.stopped, group.provisioning = True, "Succeeded"

    _run(cloud, group, None, work)


def delete(cloud: Cloud, group: Group) -> Operation:
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

    _run(cloud, group, operation, work)
    return operation


def _run(cloud: Cloud, group: Group, operation: Operation | None, work: Callable[[], None]) -> None:
    def whole() -> None:
        error: ArmError | None = None
        try:
            work()
        except ArmError as caught:
            error = caught
        with group.lock:
            group.changing = False
            if error is not None:
                group.provisioning = "Failed"
        if operation is not None:
            if error is not None:
                operation.fail(error)
            else:
                operation.succeed()

    threading.Thread(target=whole, name=f"change of {group.id.name}", daemon=True).start()


def _replace(
    cloud: Cloud, group: Group, old: list[ContainerRun], old_address: str | None, runner: Runner, updates: bool
) -> None:
    for run in old:
        run.stop()
        run.remove()
    _move(cloud, group, old_address)
    with group.lock:
        group.provisioning = "Updating" if updates else "Creating"
        group.quit = threading.Event()
        group.init_runs = [_run_of(group, each, runner) for each in group.body.properties.init_containers or ()]
        group.runs = [_run_of(group, each, runner) for each in group.body.properties.containers]
    for run in (*group.init_runs, *group.runs):
        image = run.plan.workload.image
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
    supervise(group)


def _move(cloud: Cloud, group: Group, old: str | None) -> None:
    """The address that the body asks for: the same, unless the label is another one."""
    wanted = group.body.properties.ip_address
    label = wanted.dns_name_label if wanted is not None else None
    if old is not None and label == group.label:
        return
    if old is not None:
        cloud.addresses.give_back(old)
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
    assert properties.image is not None, "judged before"
    workload = Workload(
        id="",
        image=properties.image,
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
        f"{mount.mount_path.rstrip('/')}/{name}": base64.b64decode(value)
        for mount in container.properties.volume_mounts or ()
        for name, value in secrets.get(mount.name, {}).items()
    }
