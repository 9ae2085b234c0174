"""DNS labels of container groups: the host's name, and who else may not have it."""

import hashlib

from targets.rehearsal.arm.bodies import ContainerGroup, IpAddress
from targets.rehearsal.arm.groups import GroupId

_HASH_CHARACTERS = 16


def host_name(id: GroupId, region: str, address: IpAddress | None) -> str | None:  # noqa: A002 - the field's own name
    """The group's fully qualified name; None for a group without a label.

    Source: "Deploy an Azure container instance with DNS name reuse policy" on Microsoft Learn: with another scope than
    Unsecure a hash of who may use the label again stands between label and region.
    """
    if address is None or address.dns_name_label is None:
        return None
    owner = {
        "TenantReuse": "tenant",
        "SubscriptionReuse": id.subscription,
        "ResourceGroupReuse": f"{id.subscription}/{id.resource_group}",
        "Noreuse": id.key,
    }.get(address.auto_generated_domain_name_label_scope or "Unsecure")
    domain = f"{region}.azurecontainer.io"
    if owner is None:
        return f"{address.dns_name_label}.{domain}"
    middle = hashlib.sha256(owner.lower().encode()).hexdigest()[:_HASH_CHARACTERS]
    return f"{address.dns_name_label}.{middle}.{domain}"


def host_name_of(id: GroupId, region: str, body: ContainerGroup) -> str | None:  # noqa: A002
    """Of a body that is not yet a group."""
    return host_name(id, region, body.properties.ip_address)
