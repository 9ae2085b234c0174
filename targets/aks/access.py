"""Access to a cluster: as a kubeconfig has it, or with the credentials that Azure's management API gives out."""

import copy
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import yaml

from packager.core.errors import (
    ConfigurationError,
    DeploymentMissing,
    EnvironmentMissing,
    Forbidden,
    NotSignedIn,
    ResourceGroupMissing,
)
from packager.core.extras import require_extra
from targets.aks.settings import AksSettings
from targets.kit.azure.access import AzureAccess, FixedToken, azure_access
from targets.kit.azure.failures import azure_errors, has_code
from targets.kit.kubernetes.access import KubernetesAccess, dictionary_access, kubeconfig_access

# The application that clusters with Entra ID are asked as. Source: github.com/Azure/kubelogin, "Azure Kubernetes
# Service AAD Server".
_SERVER: Final = "6dae42f8-4368-4678-94ff-3960e28e3630"
_KUBELOGIN: Final = re.compile(r"(^|[/\\])kubelogin(\.exe)?$")
_NO_ROLE_HELPS: Final = ("RequestDisallowedByPolicy", "RequestDisallowedByAzure", "PolicyViolation", "ScopeLocked")
_ROLE: Final = "ask for the role Azure Kubernetes Service Cluster User Role"

Credentials = Callable[[AzureAccess, str, str], Any]


def cluster_access(settings: AksSettings) -> KubernetesAccess:
    """Access for whoever runs this command.

    Raises:
        EnvironmentMissing: A client is not installed.
        ConfigurationError: Nothing names a cluster, or what does cannot be used.
        DrayError: Azure's cause.
    """
    if settings.cluster and settings.resource_group:
        require_extra("aks")  # before that of Azure, which alone would not do
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
    if server := entra_server(document):
        # The token of whoever is signed in to Azure is what the program would ask for, which is not always there.
        document = with_token(document, _entra_token(azure, server, cluster))
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
            hint=_ROLE,
        )
    try:
        document = yaml.safe_load(bytes(kubeconfigs[0].value))
    except (yaml.YAMLError, TypeError) as error:
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


def entra_server(kubeconfig: Mapping[str, Any]) -> str | None:
    """The application that a cluster with Entra ID wants a token for; None where the kubeconfig has what it takes."""
    for each in kubeconfig.get("users") or ():
        user = each.get("user") or {}
        program, provider = user.get("exec") or {}, user.get("auth-provider") or {}
        if _KUBELOGIN.search(str(program.get("command", ""))):
            arguments = [str(argument) for argument in program.get("args") or ()]
            return dict(itertools.pairwise(arguments)).get("--server-id", _SERVER)
        if provider.get("name") == "azure":  # as it was before kubelogin; today's clients know it no more
            return str((provider.get("config") or {}).get("apiserver-id") or _SERVER)
    return None


def _entra_token(azure: AzureAccess, server: str, cluster: str) -> str:
    """A token for a cluster.

    Raises:
        NotSignedIn: There is none to be had.
    """
    if isinstance(azure.credential, FixedToken):
        # It is one for Azure's management API, which no cluster is to see.
        raise NotSignedIn(
            f"the cluster {cluster!r} wants a token of Entra ID for itself, and AZURE_ACCESS_TOKEN is Azure's own",
            hint="az login, without AZURE_ACCESS_TOKEN; or kubelogin, and --set context=NAME",
        )
    with azure_errors(f"a token for the cluster {cluster!r}"):
        return str(azure.credential.get_token(f"{server}/.default").token)


@contextmanager
def _cluster_errors(resource_group: str, cluster: str) -> Iterator[None]:
    """What Azure says about deployments, said about a cluster.

    Raises:
        ConfigurationError: There is no such cluster.
        Forbidden: It may not be used, with the role that it takes.
    """
    try:
        with azure_errors(f"credentials of the cluster {cluster!r}"):
            yield
    except (DeploymentMissing, ResourceGroupMissing) as error:
        raise ConfigurationError(
            f"Azure has no cluster {cluster!r} in the resource group {resource_group!r}",
            hint="az aks list -o table shows yours; is it in another subscription?",
            detail=error.detail,
        ) from error
    except Forbidden as error:
        hint = error.hint if has_code(error, *_NO_ROLE_HELPS) else _ROLE
        raise Forbidden(error.message, hint=hint, detail=error.detail) from error


def _list_user_credentials(azure: AzureAccess, resource_group: str, cluster: str) -> Any:
    try:
        from azure.mgmt.containerservice import ContainerServiceClient
    except ImportError as error:
        raise EnvironmentMissing(
            "this needs azure-mgmt-containerservice, not installed here", hint='pip install "dray[aks]"'
        ) from error
    from targets.kit.azure.retries import PatientRetry

    # It reads by POST, so that asking again does no harm.
    options = {**azure.client_options(), "retry_policy": PatientRetry(backoff_s=min(0.8, azure.poll_s), posts=True)}
    with (
        ContainerServiceClient(subscription_id=azure.subscription, **options) as client,
        _cluster_errors(resource_group, cluster),
    ):
        return client.managed_clusters.list_cluster_user_credentials(resource_group, cluster, format="exec")
