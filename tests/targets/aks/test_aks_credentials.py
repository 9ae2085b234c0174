"""Credentials of a cluster by resource group and name, through Azure's own SDK and over the wire."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from packager.core.errors import CloudFailed, ConfigurationError, DrayError, Forbidden, NotSignedIn
from targets.aks import AksSettings, AksTarget
from targets.aks.access import azure_cluster, cluster_access, entra_server
from targets.kit.azure.access import AzureAccess, azure_access
from tests.support.aks_cloud import AksCloud
from tests.support.cluster_credentials import ClusterCredentials, cluster_credentials
from tests.support.stand_in_server import TOKEN

SETTINGS = AksSettings(resource_group="team", cluster="prod")
ENTRA = {"exec": {"command": "kubelogin", "args": ["get-token", "--server-id", "of-the-server", "--login", "azurecli"]}}


@pytest.fixture(scope="module")
def shared_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterCredentials]:
    with cluster_credentials(tmp_path_factory.mktemp("azure")) as given:
        yield given


@pytest.fixture
def azure(shared_azure: ClusterCredentials, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterCredentials]:
    """Where dray is led; every request must be as the swagger has it."""
    shared_azure.asked.clear()
    for name, value in shared_azure.environment.items():
        monkeypatch.setenv(name, value)
    yield shared_azure
    assert shared_azure.problems == []


def kubeconfig(user: dict[str, Any], **cluster: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [{"name": "prod", "cluster": {"server": "https://127.0.0.1:1", **cluster}}],
        "users": [{"name": "clusterUser_team_prod", "user": user}],
        "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "clusterUser_team_prod"}}],
    }


def refusal() -> DrayError:
    with pytest.raises(DrayError) as caught:
        cluster_access(SETTINGS)
    assert TOKEN not in str(caught.value.detail) + caught.value.message
    return caught.value


def test_cluster_is_used_with_what_azure_gives(azure: ClusterCredentials, cloud: AksCloud, state: Path) -> None:
    authority = base64.b64encode(cloud.ca.read_bytes()).decode()
    azure.gives(kubeconfig({"token": TOKEN}, server=cloud.url, **{"certificate-authority-data": authority}))

    assert AksTarget().preflight(SETTINGS) == ()
    assert AksTarget().deployments(SETTINGS) == ()

    asked = azure.asked[0]
    assert (asked["resourceGroupName"], asked["resourceName"], asked["format"]) == ("team", "prod", "exec")


@pytest.mark.parametrize(
    ("status", "code", "kind", "hint"),
    [
        (403, "AuthorizationFailed", Forbidden, "Cluster User Role"),
        (403, "RequestDisallowedByPolicy", Forbidden, "a policy"),
        (404, "ResourceNotFound", ConfigurationError, "az aks list"),
        (404, "ResourceGroupNotFound", ConfigurationError, "az aks list"),
        (401, "ExpiredAuthenticationToken", NotSignedIn, "az login"),
    ],
)
def test_refusals_say_what_a_cluster_takes(
    azure: ClusterCredentials, status: int, code: str, kind: type[DrayError], hint: str
) -> None:
    azure.refuses(status, code, "The client 'somebody' may not")

    refused = refusal()

    assert type(refused) is kind
    assert "'prod'" in refused.message
    assert hint in refused.hint
    assert len(azure.asked) == 1


def test_what_fails_once_is_asked_again(azure: ClusterCredentials, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.gives(kubeconfig({"token": "t"}))
    failed = {"error": {"code": "InternalServerError", "message": "again"}}
    azure.answers.insert(0, (503, failed))

    access = azure_cluster(quick(), "team", "prod")

    assert "prod" in access.where
    assert len(azure.asked) == 2


def test_what_goes_on_failing_is_azures_fault(azure: ClusterCredentials) -> None:
    azure.refuses(500, "InternalServerError", "again")

    with pytest.raises(CloudFailed, match="credentials of the cluster 'prod'"):
        azure_cluster(quick(), "team", "prod")


def quick() -> AzureAccess:
    """Access that does not wait long between tries."""
    return replace(azure_access(), poll_s=0.001)


def test_empty_list_means_a_missing_role(azure: ClusterCredentials) -> None:
    azure.gives()

    refused = refusal()

    assert type(refused) is Forbidden
    assert "Cluster User Role" in refused.hint


@pytest.mark.parametrize("content", [b"\x00\xff\xfe", b"a: [", b"", b"just words", b"clusters: []"])
def test_content_that_is_no_kubeconfig_is_refused(azure: ClusterCredentials, content: bytes) -> None:
    azure.gives(content)

    assert isinstance(refusal(), Forbidden if not content else ConfigurationError)


@pytest.mark.parametrize("value", ["not base64!", 7, None])
def test_value_that_is_no_base64_is_refused(azure: ClusterCredentials, value: Any) -> None:
    azure.answers = [(200, {"kubeconfigs": [{"name": "clusterUser", "value": value}]})]

    assert isinstance(refusal(), ConfigurationError | Forbidden)


@pytest.mark.parametrize("part", ["contexts", "current-context"])
def test_kubeconfig_that_lacks_a_part_is_refused_when_it_is_used(azure: ClusterCredentials, part: str) -> None:
    document = kubeconfig({"token": "t"})
    del document[part]
    azure.gives(document)

    with pytest.raises(ConfigurationError, match="prod"):
        cluster_access(SETTINGS).client()


def test_token_of_azures_api_is_never_shown_to_a_cluster(azure: ClusterCredentials) -> None:
    azure.gives(kubeconfig(ENTRA))

    refused = refusal()

    assert type(refused) is NotSignedIn
    assert "az login" in refused.hint


def test_token_that_cannot_be_had_is_no_traceback(azure: ClusterCredentials) -> None:
    from azure.core.exceptions import ClientAuthenticationError

    def get_token(*scopes: str, **_: Any) -> Any:
        if scopes != ("of-the-server/.default",):
            return SimpleNamespace(token=TOKEN, expires_on=2**31)
        raise ClientAuthenticationError("DefaultAzureCredential failed")

    azure.gives(kubeconfig(ENTRA))
    access = AzureAccess(azure.url, "subid1", SimpleNamespace(get_token=get_token), ca_file=azure.ca)

    with pytest.raises(NotSignedIn):
        azure_cluster(access, "team", "prod")


def test_application_of_a_cluster_is_the_one_that_its_kubeconfig_names() -> None:
    provider = {"auth-provider": {"name": "azure", "config": {"apiserver-id": "older"}}}
    bare = {"exec": {"command": "/usr/local/bin/kubelogin"}}
    other = {"exec": {"command": "aws-iam-authenticator", "args": ["--server-id", "x"]}}

    found = [entra_server(kubeconfig(user)) for user in (ENTRA, provider, bare, other, {"token": "t"})]

    assert found == ["of-the-server", "older", "6dae42f8-4368-4678-94ff-3960e28e3630", None, None]
