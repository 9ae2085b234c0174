"""Container groups as answers show them: without what is secret, with what the service adds."""

from typing import Any

from targets.rehearsal.arm.errors import GROUP_TYPE
from targets.rehearsal.arm.groups import TENANT, Group
from targets.rehearsal.arm.labels import host_name

Json = dict[str, Any]


def group_view(group: Group, *, instances: bool = True) -> Json:
    """A group as GET answers it.

    Args:
        instances: With ``instanceView``; lists leave it out. Source: recordings of Azure/azure-cli, container list.
    """
    given = group.body.model_dump(by_alias=True, exclude_none=True)
    properties: Json = {
        "sku": "Standard",
        "provisioningState": group.provisioning,
        "provisioningTimeoutInSeconds": 1800,
        "isCustomProvisioningTimeout": False,
        **_without_secrets(given["properties"]),
    }
    properties.setdefault("initContainers", [])
    _add_address(properties, group)
    if instances:
        _add_instances(properties, group)
    view: Json = {"properties": properties}
    if "identity" in given:
        view["identity"] = _identity(given["identity"], group)
    if "zones" in given:
        view["zones"] = given["zones"]
    view |= {"id": str(group.id), "name": group.id.name, "type": GROUP_TYPE, "location": group.region}
    return view | ({"tags": dict(group.body.tags)} if group.body.tags is not None else {})


def _without_secrets(properties: Json) -> Json:
    """Leaves out what Azure never shows again: it keeps the names, not the values."""
    for container in properties["containers"]:
        container["properties"].setdefault("ports", [])
    for container in (*properties["containers"], *properties.get("initContainers", ())):
        inner = container["properties"]
        inner["environmentVariables"] = [
            {key: value for key, value in each.items() if key != "secureValue"}
            for each in inner.get("environmentVariables", ())
        ]
    for credential in properties.get("imageRegistryCredentials", ()):
        credential.pop("password", None)
    for volume in properties.get("volumes", ()):
        if "secret" in volume:
            volume["secret"] = {}
        volume.get("azureFile", {}).pop("storageAccountKey", None)
    properties.get("diagnostics", {}).get("logAnalytics", {}).pop("workspaceKey", None)
    for extension in properties.get("extensions", ()):
        extension.get("properties", {}).pop("protectedSettings", None)
    return properties


def _add_address(properties: Json, group: Group) -> None:
    shown = properties.get("ipAddress")
    if shown is None:
        return
    if group.address is not None:
        shown["ip"] = group.address
    if "dnsNameLabel" in shown:
        shown["fqdn"] = host_name(group.id, group.region, group.body.properties.ip_address)


def _add_instances(properties: Json, group: Group) -> None:
    runs = {run.plan.name: run for run in (*group.init_runs, *group.runs)}
    for container in (*properties["containers"], *properties["initContainers"]):
        run = runs.get(container["name"])
        if run is not None:
            container["properties"]["instanceView"] = run.view()
    properties["instanceView"] = {"events": group.events.entries(), "state": group.state()}


def _identity(given: Json, group: Group) -> Json:
    shown = dict(given)
    if "SystemAssigned" in given.get("type", ""):
        shown |= {"principalId": group.principal, "tenantId": TENANT}
    if "userAssignedIdentities" in given:
        ids = {"principalId": group.principal, "clientId": group.principal}
        shown["userAssignedIdentities"] = {name: dict(ids) for name in given["userAssignedIdentities"]}
    return shown
