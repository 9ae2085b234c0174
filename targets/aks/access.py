"""Access to a cluster: as a kubeconfig has it, or with the credentials that Azure's management API gives out."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import yaml

from packager.core.errors import ConfigurationError, EnvironmentMissing, Forbidden
from packager.core.extras import require_extra
from targets.aks.settings import AksSettings
from targets.kit.azure.access import AzureAccess, azure_access
from targets.kit.azure.failures import azure_errors
from targets.kit.kubernetes.access import KubernetesAccess, dictionary_access, kubeconfig_access

# The application that clusters with Entra ID are asked as. Source: github.com/Azure/kubelogin, "Azure Kubernetes
# Service AAD Server".
_SERVER_SCOPE: Final = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
_KUBELOGIN: Final = "kubelogin"

Credentials = Callable[[AzureAccess, str, str], Any]


def cluster_access(settings: AksSettings) -> KubernetesAccess:
    """Access for whoever runs this command.

    Raises:
        EnvironmentMissing: A client is not installed.
        ConfigurationError: Nothing names a cluster, or what does cannot be used.
        DrayError: Azure's cause.
    """
    if settings.cluster and settings.resource_group:
        azure = azure_access(settings.subscription)
        return azure_cluster(azure, settings.resource_group, settings.cluster)
    return kubeconfig_access(settings.kubeconfig, settings.context)


def azure_cluster(
    azure: AzureAccess, resource_group: str, cluster: str, credentials: Credentials | None = None
) -> KubernetesAccess:
    """Access to a cluster of Azure's, by its resource group and name.

    Args:
        credentials: Asks for the credentials; the SDK where left out.
    """
    given = (credentials or _list_user_credentials)(azure, resource_group, cluster)
    document = user_kubeconfig(given, cluster)
    if _by_kubelogin(document):
        # The token of whoever is signed in to Azure is what the program would ask for, which is not always there.
        token = azure.credential.get_token(_SERVER_SCOPE).token
        document = with_token(document, token)
    access = dictionary_access(document, where=f"the cluster {cluster!r} of resource group {resource_group!r}")
    return replace(access, implied=False)


def user_kubeconfig(given: Any, cluster: str) -> dict[str, Any]:
    """The first kubeconfig of an answer of ``listClusterUserCredential``, whose ``value`` is bytes.

    Raises:
        Forbidden: There is none.
        ConfigurationError: It is none.
    """
    kubeconfigs = list(getattr(given, "kubeconfigs", None) or ())
    if not kubeconfigs or not kubeconfigs[0].value:
        raise Forbidden(
            f"Azure gives no credentials for the cluster {cluster!r}",
            hint="ask for the role Azure Kubernetes Service Cluster User Role",
        )
    try:
        document = yaml.safe_load(bytes(kubeconfigs[0].value))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the kubeconfig of cluster {cluster!r} cannot be read", hint="again") from error
    if not isinstance(document, dict) or not document.get("clusters"):
        raise ConfigurationError(f"the kubeconfig of cluster {cluster!r} names no cluster", hint="again")
    return document


def with_token(kubeconfig: Mapping[str, Any], token: str) -> dict[str, Any]:
    """The same kubeconfig, with a token in the place of a program that would fetch one."""
    made = copy.deepcopy(dict(kubeconfig))
    for each in made["users"]:
        each["user"] = {"token": token}
    return made


def _by_kubelogin(kubeconfig: Mapping[str, Any]) -> bool:
    users = [each.get("user") or {} for each in kubeconfig.get("users") or ()]
    return any(str((user.get("exec") or {}).get("command", "")).endswith(_KUBELOGIN) for user in users)


def _list_user_credentials(azure: AzureAccess, resource_group: str, cluster: str) -> Any:
    require_extra("aks")
    try:
        from azure.mgmt.containerservice import ContainerServiceClient
    except ImportError as error:
        raise EnvironmentMissing(
            "this needs azure-mgmt-containerservice, not installed here", hint='pip install "dray[aks]"'
        ) from error
    with (
        ContainerServiceClient(subscription_id=azure.subscription, **azure.client_options()) as client,
        azure_errors(f"credentials of the cluster {cluster!r}"),
    ):
        return client.managed_clusters.list_cluster_user_credentials(resource_group, cluster)
