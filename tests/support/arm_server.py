"""The stand-in's ARM API on real TLS, over a runner that starts no process, and the SDK that speaks to it."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from azure.core.credentials import AccessToken
from azure.mgmt.containerinstance import ContainerInstanceManagementClient

from targets.rehearsal.arm.app import create_app
from targets.rehearsal.arm.faults import FAULTS
from targets.rehearsal.certificates import write_certificates
from targets.rehearsal.workload import Runner
from targets.rehearsal.world import Faults, World
from tests.support.fake_runner import FakeRunner

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
TOKEN = "t0ken-of-a-rehearsal"
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
    runner, held = FakeRunner(), list[int]()
    with serving_arm(folder, runner, held.append) as (url, ca, faults):
        yield Arm(url, ca, runner, faults, held)


@contextmanager
def serving_arm(
    folder: Path, runner: Runner, held: Callable[[int], None] = lambda count: None, **options: Any
) -> Iterator[tuple[str, Path, Faults]]:
    """The API over a runner; its URL, its authority, and what shall go wrong.

    Args:
        options: Of the server.
    """
    ca, certificate, key = certificates(folder)
    faults = Faults(FAULTS)
    world = World(token=TOKEN, runner=runner, faults=faults, registry="127.0.0.1:5000", held=held)
    config = uvicorn.Config(
        create_app(world), host="127.0.0.1", port=0, ssl_certfile=str(certificate), ssl_keyfile=str(key),
        access_log=False, **{"log_level": "critical", "timeout_graceful_shutdown": 0, **options},
    )  # fmt: skip
    with _serving(uvicorn.Server(config)) as port:
        yield f"https://127.0.0.1:{port}", ca, faults


@contextmanager
def _serving(server: uvicorn.Server) -> Iterator[int]:
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server)), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(15)


async def _serve(server: uvicorn.Server) -> None:
    await server.serve()
    # A client that holds an answer it has not read keeps its connection.
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)


def wait_until(true: Callable[[], object], *, timeout_s: float = 15) -> None:
    """Raises AssertionError: it did not become true."""
    waited = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if true():
            return
        waited.wait(0.02)
    raise AssertionError("did not become true in time")


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of its with the key."""
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    write_certificates(*paths)
    return paths
