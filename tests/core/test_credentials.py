"""Credentials of registries: Docker's configuration, its helpers, references, the Azure account."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from packager.core.credentials import ByReference, Credential, DockerConfig, FirstOf, resolve
from packager.core.credentials_azure import AzureRegistry, azure_account_token, registry_credentials
from packager.core.errors import CredentialsUnusable
from tests.support.faulty_registry import AAD_TOKEN, REFRESH_TOKEN, FaultyRegistry

HELPER = """#!/bin/sh
read server
echo "$1 $server" >> {log}
case "$server" in
  registry.example) echo '{{"ServerURL":"registry.example","Username":"ada","Secret":"of-helper"}}' ;;
  token.example) echo '{{"Username":"<token>","Secret":"of-token"}}' ;;
  broken.example) echo 'no json' ;;
  locked.example) echo 'keyring is locked'; exit 1 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


def config(folder: Path, **document: Any) -> DockerConfig:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(document))
    return DockerConfig(folder)


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``docker-credential-test`` on the path; the log of what it was asked."""
    folder, log = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    (folder / "docker-credential-test").write_text(HELPER.format(log=log))
    (folder / "docker-credential-test").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


def parts(credential: Credential | None) -> tuple[str, str, str] | None:
    return (credential.username, credential.password, credential.identity_token) if credential else None


def test_nothing_configured_is_nobody(tmp_path: Path) -> None:
    assert DockerConfig(tmp_path).credential("registry.example") is None


@pytest.mark.parametrize("key", ["registry.example", "https://registry.example", "https://registry.example/v1/"])
def test_login_is_found_by_every_form_of_the_host(tmp_path: Path, key: str) -> None:
    auth = base64.b64encode(b"ada:of:colons").decode()

    found = config(tmp_path, auths={key: {"auth": auth}}).credential("registry.example")

    assert parts(found) == ("ada", "of:colons", "")


def test_login_without_a_server_is_the_default_registrys(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"ada:x").decode()}

    source = config(tmp_path, auths={"https://index.docker.io/v1/": entry})

    assert parts(source.credential("docker.io")) == ("ada", "x", "")
    assert source.credential("registry.example") is None


def test_identity_token_is_taken(tmp_path: Path) -> None:
    found = config(tmp_path, auths={"registry.example": {"auth": "", "identitytoken": "t"}}).credential(
        "registry.example"
    )

    assert found is not None
    assert found.for_engine() == {"identitytoken": "t"}


def test_helper_of_one_registry_is_asked_on_its_input(tmp_path: Path, helper: Path) -> None:
    source = config(tmp_path / "docker", credHelpers={"registry.example": "test"}, auths={"registry.example": {}})

    assert parts(source.credential("registry.example")) == ("ada", "of-helper", "")
    assert helper.read_text() == "get registry.example\n"


def test_store_of_all_registries_may_hold_identity_tokens(tmp_path: Path, helper: Path) -> None:
    source = config(tmp_path / "docker", credsStore="test")

    assert parts(source.credential("token.example")) == ("", "", "of-token")
    assert source.credential("unknown.example") is None


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        ("broken.example", "'docker-credential-test' did not answer as the protocol has it"),
        ("locked.example", "'docker-credential-test' failed: keyring is locked"),
    ],
)
def test_helper_that_fails_is_named(tmp_path: Path, helper: Path, registry: str, message: str) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        config(tmp_path / "docker", credsStore="test").credential(registry)

    assert caught.value.code == "E-REGISTRY-CREDENTIALS"
    assert caught.value.message == message
    assert caught.value.hint


def test_helper_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsUnusable, match=r"'docker-credential-nowhere'.*is not installed here"):
        config(tmp_path, credsStore="nowhere").credential("registry.example")


def test_damaged_entry_is_refused_without_its_text(tmp_path: Path) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        config(tmp_path, auths={"registry.example": {"auth": "s3cret!"}}).credential("registry.example")

    assert "s3cret" not in caught.value.message
    assert caught.value.hint == "docker login registry.example"


def test_damaged_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(CredentialsUnusable, match=r"config\.json' cannot be read"):
        DockerConfig(tmp_path).credential("registry.example")


def test_references_are_read_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("REGISTRY_USER", "ada")

    source = ByReference("registry.example", "env:REGISTRY_USER", f"file:{tmp_path / 'password'}")

    assert parts(source.credential("registry.example")) == ("ada", "s3cret", "")
    assert source.credential("other.example") is None


@pytest.mark.parametrize("reference", ["env:NOT_THERE_AT_ALL", "file:/not/there", "s3cret-itself"])
def test_reference_that_leads_nowhere_is_refused(reference: str) -> None:
    with pytest.raises(CredentialsUnusable) as caught:
        resolve(reference)

    assert "s3cret" not in caught.value.message
    assert caught.value.hint


def test_no_secret_is_printed() -> None:
    credential = Credential("ada", "s3cret", "t0ken", "a file")

    assert "s3cret" not in repr(credential)
    assert "t0ken" not in str(credential)


def test_first_source_that_knows_the_registry_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U", "given")
    auth = base64.b64encode(b"configured:x").decode()
    configured = config(tmp_path, auths={"a.example": {"auth": auth}, "b.example": {"auth": auth}})

    source = FirstOf((ByReference("a.example", "env:U", "env:U"), configured))

    found = [source.credential(host) for host in ("a.example", "b.example", "c.example")]
    assert [each.username if each else None for each in found] == ["given", "configured", None]


def test_azure_token_is_exchanged_at_the_registry(faulty: FaultyRegistry) -> None:
    source = AzureRegistry(lambda: AAD_TOKEN, matches=lambda host: True)

    assert parts(source.credential(faulty.host)) == ("00000000-0000-0000-0000-000000000000", REFRESH_TOKEN, "")
    assert faulty.tokens_asked == [
        {"path": "/oauth2/exchange", "grant_type": "access_token", "service": faulty.host, "access_token": AAD_TOKEN}
    ]


def test_azure_account_without_the_right_is_told_which(faulty: FaultyRegistry) -> None:
    with pytest.raises(CredentialsUnusable, match=r"does not take the Azure account's token \(401\)") as caught:
        AzureRegistry(lambda: "of somebody else", matches=lambda host: True).credential(faulty.host)

    assert "AcrPull" in caught.value.hint


def test_azure_is_asked_about_its_own_registries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_ACCESS_TOKEN", "t")
    asked = []
    source = AzureRegistry(lambda: asked.append(1))

    found = [source.credential(host) for host in ("team.azurecr.io", "azurecr.io.evil.example", "ghcr.io")]

    assert found == [None, None, None]
    assert len(asked) == 1
    assert azure_account_token() == "t"


def test_every_command_asks_dockers_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config(tmp_path, auths={"a.example": {"auth": base64.b64encode(b"ada:x").decode()}})
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    assert parts(registry_credentials().credential("a.example")) == ("ada", "x", "")
