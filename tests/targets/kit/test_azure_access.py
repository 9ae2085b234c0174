"""Who asks Azure, and where: from the environment, as Azure's own tools read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from packager.core.errors import ConfigurationError, EnvironmentMissing, NotSignedIn
from targets.kit.azure import access
from targets.kit.azure.access import (
    PUBLIC_CLOUD,
    account_configured,
    account_implied,
    azure_access,
    default_subscription,
)


@pytest.fixture
def nobody(tmp_path: Path) -> dict[str, str]:
    return {"AZURE_CONFIG_DIR": str(tmp_path)}


def signed_in(environ: dict[str, str], subscription: str = "from-az") -> None:
    profile = {"subscriptions": [{"id": "other", "isDefault": False}, {"id": subscription, "isDefault": True}]}
    path = Path(environ["AZURE_CONFIG_DIR"]) / "azureProfile.json"
    path.write_text(json.dumps(profile), encoding="utf-8-sig")


def test_a_token_and_a_subscription_are_enough(nobody: dict[str, str]) -> None:
    found = azure_access(environ={**nobody, "AZURE_ACCESS_TOKEN": "s3cret", "AZURE_SUBSCRIPTION_ID": "sub"})

    assert (found.endpoint, found.subscription) == ("https://management.azure.com", "sub")
    assert found.credential.get_token(found.scope).token == "s3cret"
    assert "s3cret" not in repr(found) + repr(found.credential)


def test_a_setting_comes_before_the_environment(nobody: dict[str, str]) -> None:
    signed_in(nobody)
    environ = {**nobody, "AZURE_ACCESS_TOKEN": "t", "AZURE_SUBSCRIPTION_ID": "env"}

    assert azure_access("set", environ).subscription == "set"
    assert azure_access(None, environ).subscription == "env"
    assert azure_access(None, {**nobody, "AZURE_ACCESS_TOKEN": "t"}).subscription == "from-az"


def test_nobody_signed_in_is_told_what_to_do(nobody: dict[str, str]) -> None:
    with pytest.raises(NotSignedIn) as caught:
        azure_access(environ=nobody)

    assert "az login" in caught.value.hint
    assert not account_configured(nobody)


def test_the_account_of_azures_command_line_is_implied(nobody: dict[str, str]) -> None:
    signed_in(nobody)

    assert account_configured(nobody)
    assert account_implied(nobody)
    assert not account_implied({**nobody, "AZURE_ACCESS_TOKEN": "t"})


def test_a_token_alone_is_no_account(nobody: dict[str, str]) -> None:
    assert not account_configured({**nobody, "AZURE_ACCESS_TOKEN": "for a registry"})


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"subscriptions": 7}', '{"subscriptions": [7]}'])
def test_a_profile_that_says_nothing_is_nobody(nobody: dict[str, str], content: str) -> None:
    (Path(nobody["AZURE_CONFIG_DIR"]) / "azureProfile.json").write_text(content)

    assert default_subscription(nobody) is None


def test_another_cloud_is_asked_with_a_token_for_it(nobody: dict[str, str]) -> None:
    environ = {**nobody, "AZURE_ACCESS_TOKEN": "t", "AZURE_SUBSCRIPTION_ID": "s"}
    environ["AZURE_ARM_ENDPOINT"] = "https://management.usgovcloudapi.net/"

    assert azure_access(environ=environ).scope == "https://management.usgovcloudapi.net/.default"


@pytest.mark.parametrize("endpoint", ["http://management.azure.com", "management.azure.com", "https://"])
def test_a_token_is_shown_over_tls_only(nobody: dict[str, str], endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="AZURE_ARM_ENDPOINT"):
        azure_access("s", {**nobody, "AZURE_ACCESS_TOKEN": "t", "AZURE_ARM_ENDPOINT": endpoint})


def test_without_the_sdk_the_command_that_brings_it_is_told(
    monkeypatch: pytest.MonkeyPatch, nobody: dict[str, str]
) -> None:
    def absent(extra: str) -> Any:
        raise EnvironmentMissing("this needs azure-identity, not installed here", hint=f'pip install "dray[{extra}]"')

    monkeypatch.setattr(access, "require_extra", absent)

    with pytest.raises(EnvironmentMissing) as caught:
        azure_access("s", nobody)
    assert caught.value.hint == 'pip install "dray[azure]"'


@pytest.mark.parametrize(("endpoint", "trusted"), [("https://127.0.0.1:8443", Path("ca.pem")), (PUBLIC_CLOUD, None)])
def test_a_loopback_endpoint_is_trusted_by_the_authority_that_is_named(
    nobody: dict[str, str], endpoint: str, trusted: Path | None
) -> None:
    given = {**nobody, "AZURE_ACCESS_TOKEN": "t", "AZURE_SUBSCRIPTION_ID": "s"}
    environ = {**given, "AZURE_ARM_ENDPOINT": endpoint, "REQUESTS_CA_BUNDLE": "ca.pem"}

    assert azure_access(environ=environ).ca_file == trusted
