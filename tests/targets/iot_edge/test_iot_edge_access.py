"""Access to a hub by its resource group and name, as Azure's management API gives it out."""

from types import SimpleNamespace
from typing import Any

import pytest

from packager.core.errors import EnvironmentMissing, Forbidden, NotSignedIn
from targets.iot_edge import IotEdgeSettings
from targets.iot_edge.access import HubKey, access_of, azure_hub
from targets.kit.azure.access import AzureAccess
from tests.support.scripted_hub import HOST, KEY

AZURE = AzureAccess("https://arm.example", "s", SimpleNamespace(get_token=lambda *scopes: SimpleNamespace(token="t")))


def test_key_comes_from_the_management_api_and_is_never_shown() -> None:
    asked: list[tuple[str, str]] = []

    def keys(azure: AzureAccess, resource_group: str, hub: str) -> HubKey:
        asked.append((resource_group, hub))
        return HubKey(HOST, "iothubowner", KEY)

    access = azure_hub(AZURE, "team", "hub-1", keys)

    assert asked == [("team", "hub-1")]
    assert (access.host, access.base_url, access.key.policy) == (HOST, f"https://{HOST}", "iothubowner")
    assert KEY not in repr(access) + repr(HubKey(HOST, "p", KEY))


def test_account_that_gets_no_key_is_told_which_right_it_lacks() -> None:
    def keys(*args: Any) -> HubKey:
        return HubKey(HOST, "iothubowner", "")

    with pytest.raises(Forbidden, match="no key of the hub 'hub-1'") as caught:
        azure_hub(AZURE, "team", "hub-1", keys)

    assert "listKeys" in caught.value.hint


def test_client_that_is_not_installed_is_named_with_the_way_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "azure.mgmt.iothub", None)
    with pytest.raises(EnvironmentMissing) as caught:
        azure_hub(AZURE, "team", "hub-1")

    assert "dray[iothub]" in caught.value.hint
    assert "IOTHUB_CONNECTION_STRING" in caught.value.hint


def test_nothing_that_names_a_hub_says_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IOTHUB_CONNECTION_STRING", raising=False)

    with pytest.raises(NotSignedIn):
        access_of(IotEdgeSettings())
