"""Requests on all but container groups: what they stand on."""

from targets.rehearsal.arm.bodies import API_VERSION, ResourceGroup
from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud, ResourceGroupState
from targets.rehearsal.arm.deserialising import read
from targets.rehearsal.arm.errors import GROUP_TYPE, PROVIDER, ArmError, not_in_a_rehearsal
from targets.rehearsal.arm.groups import TENANT
from targets.rehearsal.arm.judging import judge_tags
from targets.rehearsal.arm.regions import MAX_CPU, MAX_GPUS, MAX_MEMORY_GB, QUOTAS, normal


def get_usages(cloud: Cloud, call: Call) -> Answer:
    """How much of each quota is taken in a region."""
    used = cloud.usage(call.subscription, normal(call.names["location"]))
    value = [
        {
            "id": f"{call.path}/{quota.name}",
            "unit": "Count",
            "currentValue": used[quota.name],
            "limit": quota.limit,
            "name": {"value": quota.name, "localizedValue": quota.shown},
        }
        for quota in QUOTAS
    ]
    return Answer(200, {"value": value})


def get_capabilities(_cloud: Cloud, call: Call) -> Answer:
    """The most that one group can have in a region."""
    value = [
        {
            "resourceType": "containerGroups",
            "osType": "Linux",
            "location": call.names["location"],
            "ipAddressType": "Public",
            "gpu": gpu,
            "capabilities": {"maxMemoryInGB": MAX_MEMORY_GB, "maxCpu": MAX_CPU, "maxGpuCount": count},
        }
        for gpu, count in (("None", 0), ("K80", MAX_GPUS), ("P100", MAX_GPUS), ("V100", MAX_GPUS))
    ]
    return Answer(200, {"value": value})


def get_cached_images(_cloud: Cloud, _call: Call) -> Answer:
    """None: all images are pulled."""
    return Answer(200, {"value": []})


def get_operation(cloud: Cloud, call: Call) -> Answer:
    """How a change goes on; one that failed is told with 200 too."""
    operation = cloud.operation(call.names["operation"])
    if operation is None:
        raise _no_operation(call)
    return Answer(200, operation.body())


def get_operation_result(cloud: Cloud, call: Call) -> Answer:
    """202 until the change is done."""
    operation = cloud.operation(call.names["operation"])
    if operation is None:
        raise _no_operation(call)
    if not operation.ended.is_set():
        return Answer(
            202, None, {"Location": f"{call.origin}{call.path}?api-version={API_VERSION}", "Retry-After": "1"}
        )
    if operation.error is not None:
        raise operation.error
    return Answer(204)


def list_provider_operations(_cloud: Cloud, _call: Call) -> Answer:
    """What roles can be given rights to."""
    actions = (("read", "Get Container Groups"), ("write", "Create or Update"), ("delete", "Delete Container Group"))
    value = [
        {
            "name": f"{GROUP_TYPE}/{action}",
            "display": {
                "provider": "Microsoft Container Instance",
                "resource": "Container Group",
                "operation": words,
                "description": words,
            },
            "origin": "User",
        }
        for action, words in actions
    ]
    return Answer(200, {"value": value})


def get_resource_group(cloud: Cloud, call: Call) -> Answer:
    """One resource group."""
    group = cloud.resource_group(call.subscription, call.names["resource_group"])
    return Answer(200, _resource_group(call, group))


def head_resource_group(cloud: Cloud, call: Call) -> Answer:
    """204 for one that is there."""
    try:
        cloud.resource_group(call.subscription, call.names["resource_group"])
    except ArmError:
        return Answer(404)
    return Answer(204)


def put_resource_group(cloud: Cloud, call: Call) -> Answer:
    """Make one, or give it other tags."""
    body = read(ResourceGroup, call.content)
    judge_tags(body.tags)
    group = ResourceGroupState(call.names["resource_group"], normal(body.location), body.tags or {})
    new = cloud.put_resource_group(call.subscription, group)
    return Answer(201 if new else 200, _resource_group(call, group))


def list_resource_groups(cloud: Cloud, call: Call) -> Answer:
    """All of a subscription."""
    return Answer(200, {"value": [_resource_group(call, each) for each in cloud.resource_groups(call.subscription)]})


def get_subscription(_cloud: Cloud, call: Call) -> Answer:
    """Each GUID is a subscription here."""
    return Answer(200, _subscription(call.subscription))


def list_subscriptions(_cloud: Cloud, _call: Call) -> Answer:
    """The rehearsal's own."""
    return Answer(200, {"value": [_subscription("00000000-0000-0000-0000-000000000000")]})


def get_provider(_cloud: Cloud, call: Call) -> Answer:
    """The provider is registered, as it must be on Azure."""
    body = {
        "id": f"/subscriptions/{call.subscription}/providers/{PROVIDER}",
        "namespace": PROVIDER,
        "registrationState": "Registered",
        "resourceTypes": [{"resourceType": "containerGroups", "apiVersions": [API_VERSION]}],
    }
    return Answer(200, body)


def refuse_exec(_cloud: Cloud, _call: Call) -> Answer:
    """Azure opens a web socket."""
    raise not_in_a_rehearsal("a command in a running container")


def refuse_attach(_cloud: Cloud, _call: Call) -> Answer:
    """Azure opens a web socket."""
    raise not_in_a_rehearsal("attaching to a running container (its logs can be read)")


def _no_operation(call: Call) -> ArmError:
    message = f"The operation '{call.names['operation']}' was not found."
    return ArmError(404, "OperationNotFound", message)


def _resource_group(call: Call, group: ResourceGroupState) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{call.subscription}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
        "tags": group.tags,
        "properties": {"provisioningState": "Succeeded"},
    }


def _subscription(subscription: str) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": TENANT,
        "displayName": "rehearsal",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    }
