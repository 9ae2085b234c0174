"""Requests on container groups."""

from targets.rehearsal.arm import changes
from targets.rehearsal.arm.bodies import ContainerGroup, GroupUpdate
from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud, begin_change
from targets.rehearsal.arm.deserialising import read
from targets.rehearsal.arm.errors import ArmError, label_taken
from targets.rehearsal.arm.groups import Group
from targets.rehearsal.arm.judging import judge, judge_tags, judge_update
from targets.rehearsal.arm.operations import OPERATIONS_VERSION, Operation
from targets.rehearsal.arm.pulling import pull_all
from targets.rehearsal.arm.regions import REGIONS, normal
from targets.rehearsal.arm.resource_errors import no_location, no_resource, unknown_location
from targets.rehearsal.arm.views import group_view


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
    group = cloud.reserve(call.group, body, region)
    try:
        new = not group.shown
        if not new and group.state() not in ("Stopped", "Succeeded", "Failed"):
            judge_update(group.id.name, group.body, body)
        cloud.check_quota(group, body)
        _label_free(cloud, group, body)
        pull_all(cloud, group, body)
    except BaseException:
        cloud.release(group)
        raise
    operation = changes.deploy(cloud, group, body, cloud.world.runner)
    return Answer(201 if new else 200, group_view(group), _follow(call, operation))


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
    """End it and forget it."""
    cloud.resource_group(call.subscription, call.names["resource_group"])
    try:
        group = cloud.find(call.group)
    except ArmError:
        return Answer(204)
    begin_change(group)
    operation = changes.delete(cloud, group)
    return Answer(202, group_view(group), _follow(call, operation))


def start_group(cloud: Cloud, call: Call) -> Answer:
    """Run it again after a stop."""
    group = cloud.find(call.group)
    begin_change(group)
    if group.state() == "Running":
        cloud.release(group)
        return Answer(204)
    return Answer(202, None, _follow(call, _run_again(cloud, group)))


def restart_group(cloud: Cloud, call: Call) -> Answer:
    """End its containers and run them again, with images pulled anew."""
    group = cloud.find(call.group)
    begin_change(group)
    return Answer(204, None, _follow(call, _run_again(cloud, group)))


def stop_group(cloud: Cloud, call: Call) -> Answer:
    """End its containers; the group, its address and its label stay."""
    group = cloud.find(call.group)
    begin_change(group)
    changes.stop(cloud, group)
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
    run = group.run_of(call.names["container"])
    if run is None:
        raise no_resource(f"{group.id.name}/containers/{call.names['container']}", group.id.resource_group)
    tail = call.query.get("tail")
    text = run.logs(int(tail) if tail is not None else None)
    return Answer(200, {"content": text})


def _run_again(cloud: Cloud, group: Group) -> Operation:
    try:
        cloud.check_quota(group, group.body)
        pull_all(cloud, group, group.body)
    except BaseException:
        cloud.release(group)
        raise
    return changes.restart(cloud, group, cloud.world.runner)


def _label_free(cloud: Cloud, group: Group, body: ContainerGroup) -> None:
    address = body.properties.ip_address
    label = address.dns_name_label if address is not None else None
    if label is None:
        return
    for other in cloud.all_groups():
        theirs = other.body.properties.ip_address
        if other is not group and other.region == group.region and theirs and theirs.dns_name_label == label:
            raise label_taken(label, group.id.name)


def _follow(call: Call, operation: Operation) -> dict[str, str]:
    where = f"{call.origin}{operation.path}?api-version={OPERATIONS_VERSION}"
    result = where.replace("/operations/", "/operationresults/")
    return {"Azure-AsyncOperation": where, "Location": result, "Retry-After": "1"}
