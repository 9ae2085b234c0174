"""Credentials of clusters: from kubeconfigs, and as Azure gives them out."""

import base64
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from packager.core import extras
from packager.core.errors import ConfigurationError, EnvironmentMissing, Forbidden
from targets.aks import AksSettings, AksTarget
from targets.aks.access import azure_cluster, cluster_access
from targets.kit.azure.access import AzureAccess
from targets.kit.kubernetes.access import kubeconfig_access, token_access

KUBELOGIN = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "args": []}}


class Signed:
    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> Any:
        self.scopes += scopes
        return SimpleNamespace(token="of-entra")


def kubeconfig(user: dict[str, Any], *, server: str = "https://127.0.0.1:6443") -> dict[str, Any]:
    names = [("one", "models"), ("two", None)]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u", **({"namespace": place} if place else {})}}
            for name, place in names
        ],
    }


def given(document: Any) -> Any:
    content = yaml.safe_dump(document).encode() if document is not None else None
    return SimpleNamespace(kubeconfigs=[SimpleNamespace(name="clusterUser", value=content)])


def token_of(access: Any) -> str:
    client = access.client()
    client.close()
    return str(client.configuration.auth_settings()["BearerToken"]["value"])


def test_credentials_of_azure_are_bytes_of_a_kubeconfig() -> None:
    asked: list[tuple[str, str]] = []

    def credentials(azure: AzureAccess, resource_group: str, cluster: str) -> Any:
        asked.append((resource_group, cluster))
        return given(kubeconfig({"token": "of-the-cluster"}))

    access = azure_cluster(AzureAccess("https://arm.example", "s", Signed()), "team", "prod", credentials)

    assert asked == [("team", "prod")]
    assert token_of(access) == "Bearer of-the-cluster"
    assert "prod" in access.where


def test_cluster_with_entra_id_is_asked_with_a_token_and_not_with_a_program() -> None:
    signed = Signed()
    answer = given(kubeconfig(KUBELOGIN))

    access = azure_cluster(AzureAccess("https://arm.example", "s", signed), "team", "prod", lambda *_: answer)

    assert token_of(access) == "Bearer of-entra"
    assert signed.scopes == ["6dae42f8-4368-4678-94ff-3960e28e3630/.default"]


@pytest.mark.parametrize("answer", [SimpleNamespace(kubeconfigs=[]), given(None)])
def test_no_credentials_means_a_missing_role(answer: Any) -> None:
    with pytest.raises(Forbidden, match="no credentials for the cluster 'prod'") as caught:
        azure_cluster(AzureAccess("https://arm.example", "s", Signed()), "team", "prod", lambda *_: answer)

    assert "Cluster User Role" in caught.value.hint


def test_answer_that_is_no_kubeconfig_is_refused() -> None:
    answer = SimpleNamespace(kubeconfigs=[SimpleNamespace(value=base64.b64encode(b"x"))])

    with pytest.raises(ConfigurationError, match="names no cluster"):
        azure_cluster(AzureAccess("https://arm.example", "s", Signed()), "team", "prod", lambda *_: answer)


def test_sdk_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.mgmt.containerservice", None)
    monkeypatch.setenv("AZURE_ACCESS_TOKEN", "t")
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "s")

    with pytest.raises(EnvironmentMissing, match="azure-mgmt-containerservice"):
        cluster_access(AksSettings(resource_group="team", cluster="prod"))


def test_extra_that_is_not_installed_is_the_one_that_a_cluster_of_azure_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "missing_from", lambda extra: ("something",))
    monkeypatch.setattr(extras, "_found_met", set())

    with pytest.raises(EnvironmentMissing) as caught:
        cluster_access(AksSettings(resource_group="team", cluster="prod"))

    assert caught.value.hint == 'pip install "dray[aks]"'


def test_context_gives_its_namespace(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig({"token": "t"})))

    current, other = kubeconfig_access(str(path), None), kubeconfig_access(str(path), "two")

    assert (current.namespace, current.where) == ("models", "context 'one'")
    assert other.namespace == "default"
    assert token_of(current) == "Bearer t"


def test_unknown_context_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig({"token": "t"})))

    with pytest.raises(ConfigurationError, match="no context 'three'") as caught:
        kubeconfig_access(str(path), "three")

    assert "'one', 'two'" in caught.value.hint


def test_nothing_configured_is_no_deployment_and_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert AksTarget().deployments(AksSettings()) == ()
    [finding] = AksTarget().preflight(AksSettings())
    assert (finding.code, finding.blocking) == ("E-CONFIG", True)


@pytest.mark.parametrize(
    "text", ["a: [", "\t", "- a", "hello", "\xff", "current-context: one", "contexts: 5", "contexts: [null]"]
)
def test_kubeconfig_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="latin-1")

    with pytest.raises(ConfigurationError, match=f"kubeconfig '{path}' cannot be used"):
        kubeconfig_access(str(path), None)


@pytest.mark.parametrize(
    "changed", [{"users": [{"name": "u", "user": "x"}]}, {"clusters": [{"name": "c", "cluster": {"server": 5}}]}]
)
def test_kubeconfig_whose_entries_have_another_form_is_refused_by_name(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({**kubeconfig({"token": "t"}), **changed}))

    with pytest.raises(ConfigurationError, match="has not the form of one"):
        kubeconfig_access(str(path), None).client()


def test_stopped_cluster_of_the_kubeconfig_is_no_deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig({"token": "t"}, server="http://127.0.0.1:9")))
    monkeypatch.setenv("KUBECONFIG", str(path))

    assert AksTarget().deployments(AksSettings()) == ()
    [finding] = AksTarget().preflight(AksSettings(context="one"))
    assert finding.code == "E-CLOUD-UNREACHABLE"


def test_token_is_not_printed() -> None:
    assert "s3cret" not in repr(token_access("https://127.0.0.1:1", "s3cret", ca_file=None))
