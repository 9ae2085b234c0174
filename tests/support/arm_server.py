"""The stand-in's ARM API on real TLS, over a runner that starts no process, and the SDK that speaks to it."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.core.credentials import AccessToken
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from targets.rehearsal.arm.app import create_app
from targets.rehearsal.arm.faults import FAULTS
from targets.rehearsal.world import Faults
from tests.support.fake_runner import FakeRunner
from tests.support.stand_in_server import TOKEN, serving_stand_in

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
API_VERSION = "2023-05-01"


class Token:
    """A credential that has nothing but ``get_token``."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """The stand-in's own."""
        return AccessToken(TOKEN, 2**31)


@dataclass
class Arm:
    """A stand-in that runs.

    Attributes:
        held: What ``World.held`` was told, in order.
    """

    url: str
    ca: Path
    runner: FakeRunner
    faults: Faults
    held: list[int] = field(default_factory=list)

    def sdk(self, **options: Any) -> ContainerInstanceManagementClient:
        """As users' code makes it, with short waits."""
        options = {"polling_interval": 0.05, "retry_total": 0, **options}
        return ContainerInstanceManagementClient(
            Token(),
            SUBSCRIPTION,
            base_url=self.url,
            connection_verify=str(self.ca),
            credential_scopes=["https://x/.default"],
            **options,
        )

    def http(self, *, token: str | None = TOKEN, version: str | None = API_VERSION) -> httpx.Client:
        """Without the SDK."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        params = {} if version is None else {"api-version": version}
        context = ssl.create_default_context(cafile=str(self.ca))
        return httpx.Client(base_url=self.url, headers=headers, params=params, verify=context, timeout=30)


def group_path(name: str, *, resource_group: str = "rehearsal") -> str:
    """Of a container group."""
    return (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )


def group_body(**properties: Any) -> dict[str, Any]:
    """A small group of one container, as JSON."""
    image = properties.pop("image", "registry.example/fake@sha256:" + "1" * 64)
    container = {
        "name": "model",
        "properties": {
            "image": image,
            "ports": [{"port": 18080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": 1, "memoryInGB": 1.5}},
            **properties.pop("container", {}),
        },
    }
    address = {"type": "Public", "ports": [{"port": 18080, "protocol": "TCP"}]}
    label = properties.pop("label", None)
    if label:
        address["dnsNameLabel"] = label
    location, tags = properties.pop("location", "westeurope"), properties.pop("tags", {})
    whole = {"containers": [container], "osType": "Linux", "ipAddress": address, **properties}
    given = {key: value for key, value in whole.items() if value is not None}
    return {"location": location, "tags": tags, "properties": given}


@contextmanager
def arm_server(folder: Path) -> Iterator[Arm]:
    """Runs one until the block ends."""
    runner, faults, held = FakeRunner(), Faults(FAULTS), list[int]()
    with serving_stand_in(folder, create_app, faults, runner, held.append) as (url, ca):
        yield Arm(url, ca, runner, faults, held)
