"""Access to a hub: as a connection string has it, or with the key that Azure's management API gives out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from packager.core.errors import EnvironmentMissing, Forbidden
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.azure.access import AzureAccess, azure_access
from targets.kit.azure.failures import azure_errors
from targets.kit.iothub.access import HubAccess, connection_access, hub_access

_POLICY: Final = "iothubowner"


@dataclass(frozen=True, slots=True)
class HubKey:
    """What the management API says of a hub; the key is not printed."""

    host: str
    policy: str
    key: str

    def __repr__(self) -> str:
        return f"HubKey({self.host!r}, {self.policy!r})"


Keys = Callable[[AzureAccess, str, str], HubKey]


def access_of(settings: IotEdgeSettings) -> HubAccess:
    """Access for whoever runs this command.

    Raises:
        NotSignedIn, ConfigurationError: Nothing names a hub, or what does cannot be used.
        EnvironmentMissing: The management API's client is not installed.
        DrayError: Azure's cause.
    """
    if settings.hub and settings.resource_group:
        return azure_hub(azure_access(settings.subscription), settings.resource_group, settings.hub)
    return hub_access()


def azure_hub(azure: AzureAccess, resource_group: str, hub: str, keys: Keys | None = None) -> HubAccess:
    """Access to a hub by its resource group and name.

    Args:
        keys: Asks for the hub's name and key; the SDK where left out.

    Raises:
        Forbidden: There is none for this account.
    """
    found = (keys or _keys)(azure, resource_group, hub)
    if not found.host or not found.key:
        raise Forbidden(
            f"Azure gives no key of the hub {hub!r}",
            hint="ask for Microsoft.Devices/IotHubs/listKeys, which Contributor has, or take a connection string",
        )
    parts = f"HostName={found.host};SharedAccessKeyName={found.policy};SharedAccessKey={found.key}"
    return connection_access(parts)


def _keys(azure: AzureAccess, resource_group: str, hub: str) -> HubKey:
    try:
        from azure.mgmt.iothub import IotHubClient
    except ImportError as error:
        raise EnvironmentMissing(
            "this needs azure-mgmt-iothub, not installed here",
            hint='pip install "dray[iothub]"; IOTHUB_CONNECTION_STRING needs none of it',
        ) from error
    with (
        IotHubClient(subscription_id=azure.subscription, **azure.client_options()) as client,
        azure_errors(f"the key of the hub {hub!r}"),
    ):
        resource = client.iot_hub_resource.get(resource_group, hub)
        rule = client.iot_hub_resource.get_keys_for_key_name(resource_group, hub, _POLICY)
        return HubKey(str(resource.properties.host_name or ""), str(rule.key_name), str(rule.primary_key or ""))
