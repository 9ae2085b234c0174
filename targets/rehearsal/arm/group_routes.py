"""Requests on container groups."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from targets.rehearsal.arm import changes, faults
from targets.rehearsal.arm.bodies import ContainerGroup, GroupUpdate
from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud, begin_change
from targets.rehearsal.arm.deserialising import read
from targets.rehearsal.arm.errors import invalid_parameter, label_taken, no_container, no_logs, transitioning
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.judging import judge, judge_tags, judge_update
from targets.rehearsal.arm.labels import host_name_of
from targets.rehearsal.arm.operations import OPERATIONS_VERSION, Operation
from targets.rehearsal.arm.pulling import pull_all
from targets.rehearsal.arm.regions import REGIONS, normal
from targets.rehearsal.arm.resource_errors import no_location, unknown_location
from targets.rehearsal.arm.staging import stage
from targets.rehearsal.arm.views import group_view
from targets.rehearsal.clock import now

# So long a stop or a delete is waited for; what takes longer goes on after its answer.
SOON_S: Final = 5.0
MAX_TAIL: Final = 2**31 - 1


def put_group(cloud: Cloud, call: Call) -> Answer:
    """Make it, or replace it in place."""
    cloud.resource_group(call.subscription, call.names["resource_group"])
    body = read(ContainerGroup, call.content)
    if body.location is None:
        raise no_location()
    region = normal(body.location)
    if region not in REGIONS:
        raise unknown_location(body.location, REGIONS)
    judge(call.group.name, region, body)
    faults.before_a_change(cloud.world, call.group.name)
    group = cloud.reserve(call.group, body, region)
    new = not group.shown
    with _refusable(cloud, group):
        if not new and group.state() not in ("Stopped", "Succeeded", "Failed"):
            judge_update(group.id.name, group.body, body)
        _strike(cloud, group, body)
        cloud.check_quota(group, body)
        _label_free(cloud, group, body)
        images = pull_all(cloud, group, body)
        staging = stage(cloud.world, cloud.addresses, images, spared=group.restores(body))
    change = changes.deploy(cloud, group, body, staging)
    answer = Answer(201 if new else 200, group_view(group), _follow(call, change.operation))
    change.begin()
    return answer


def get_group(cloud: Cloud, call: Call) -> Answer:
    """As it is now."""
    return Answer(200, group_view(cloud.find(call.group)))


def patch_group(cloud: Cloud, call: Call) -> Answer:
    """Other tags, in place of all that were; nothing restarts."""
    group = cloud.find(call.group)
    update = read(GroupUpdate, call.content)
    judge_tags(update.tags)
    with group.lock:
        known = {"tags": group.body.tags, "zones": group.body.zones}
        given = {name: getattr(update, name) for name in update.model_fields_set & set(known)}
        group.body = group.body.model_copy(update=given)
    return Answer(200, group_view(group))


def delete_group(cloud: Cloud, call: Call) -> Answer:
    """End it and forget it. Source of 200 with the group as it was: recordings of Azure/azure-powershell."""
    cloud.resource_group(call.subscription, call.names["resource_group"])
    group = cloud.get(call.group)
    if group is None:
        return Answer(204)
    _begin(cloud, group, even_stuck=True)
    shown = group_view(group)
    change = changes.delete(cloud, group)
    change.begin()
    if change.operation.ended.wait(SOON_S):
        return Answer(200, shown)
    return Answer(202, shown, _follow(call, change.operation, result=True))


def start_group(cloud: Cloud, call: Call) -> Answer:
    """Run it again after a stop."""
    group = cloud.find(call.group)
    _begin(cloud, group)
    if group.state() == "Running":
        cloud.release(group)
        return Answer(204)
    return Answer(202, None, _follow(call, _run_again(cloud, group), result=True))


def restart_group(cloud: Cloud, call: Call) -> Answer:
    """End its containers and run them again, with images pulled anew."""
    group = cloud.find(call.group)
    _begin(cloud, group)
    return Answer(204, None, _follow(call, _run_again(cloud, group)))


def stop_group(cloud: Cloud, call: Call) -> Answer:
    """End its containers; the group, its address and its label stay."""
    group = cloud.find(call.group)
    _begin(cloud, group)
    change = changes.stop(cloud, group)
    change.begin()
    change.operation.ended.wait(SOON_S)
    return Answer(204)


def list_groups(cloud: Cloud, call: Call) -> Answer:
    """Of a resource group, or of a subscription."""
    within = call.names.get("resource_group")
    if within is not None:
        cloud.resource_group(call.subscription, within)
    groups = cloud.groups(call.subscription, within and within.lower())
    return Answer(200, {"value": [group_view(group, instances=False) for group in groups]})


def get_logs(cloud: Cloud, call: Call) -> Answer:
    """What a container wrote."""
    group = cloud.find(call.group)
    name = call.names["container"]
    if all(name != each.name for each in group.body.properties.containers):
        raise no_container(name, group.id.name)
    run = group.run_of(name)
    if run is None or not run.id:
        raise transitioning(group.id.name) if group.changing else no_logs(name, group.id.name)
    text = run.logs(_tail(call))
    if _flag(call, "timestamps"):
        moment = run.status().started_at or now()
        text = "".join(f"{moment} {line}" for line in text.splitlines(keepends=True))
    return Answer(200, {"content": text})


def _tail(call: Call) -> int | None:
    given = call.query.get("tail")
    if given is None:
        return None
    if not (given.isdecimal() and given.isascii()) or int(given) > MAX_TAIL:
        raise invalid_parameter("tail", given)
    return int(given)


def _flag(call: Call, name: str) -> bool:
    given = call.query.get(name, "false").lower()
    if given not in ("true", "false"):
        raise invalid_parameter(name, given)
    return given == "true"


def _begin(cloud: Cloud, group: Group, *, even_stuck: bool = False) -> None:
    faults.before_a_change(cloud.world, group.id.name)
    begin_change(group, even_stuck=even_stuck)


@contextmanager
def _refusable(cloud: Cloud, group: Group) -> Iterator[None]:
    """A change that is refused inside leaves the group as it was."""
    try:
        yield
    except BaseException:
        cloud.release(group)
        raise


def _run_again(cloud: Cloud, group: Group) -> Operation:
    with _refusable(cloud, group):
        cloud.check_quota(group, group.body)
        images = pull_all(cloud, group, group.body)
        staging = stage(cloud.world, cloud.addresses, images, spared=group.restores(group.body))
    change = changes.deploy(cloud, group, group.body, staging)
    change.begin()
    return change.operation


def _strike(cloud: Cloud, group: Group, body: ContainerGroup) -> None:
    requests = [container.properties.resources.requests for container in body.properties.containers]
    cpu, address = sum(each.cpu for each in requests), body.properties.ip_address
    faults.at_a_put(
        cloud.world,
        group=group.id.name,
        region=group.region,
        cpu=cpu,
        memory=sum(each.memory_in_gb for each in requests),
        label=address.dns_name_label if address is not None else None,
    )


def _label_free(cloud: Cloud, group: Group, body: ContainerGroup) -> None:
    name = host_name_of(group.id, group.region, body)
    for other in cloud.all_groups():
        if name and other is not group and name == host_name_of(other.id, other.region, other.body):
            raise label_taken(name.partition(".")[0], group.id.name)


def _follow(call: Call, operation: Operation, *, result: bool = False) -> dict[str, str]:
    """Headers. Recordings of PUT and restart have no ``Location``; a 202 must have one."""
    where = f"{call.origin}{operation.path}?api-version={OPERATIONS_VERSION}"
    headers = {"Azure-AsyncOperation": where}
    return headers | ({"Location": where.replace("/operations/", "/operationresults/")} if result else {})
