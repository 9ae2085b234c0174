"""The stand-in's IoT Hub on real TLS in this process, with clients of its service and of its own calls."""

import base64
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from targets.rehearsal.iothub.app import create_app
from targets.rehearsal.iothub.faults import FAULTS
from targets.rehearsal.iothub.sas import HOST, POLICY, key_of, sign
from targets.rehearsal.world import Faults
from tests.support.stand_in_server import TOKEN, serving_stand_in, wait_until

__all__ = ["EdgeHubServer", "content", "hub_server", "module_spec", "signature", "wait_until"]

ECHO_ROUTES = {
    "in": 'FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO BrokeredEndpoint("/modules/echo/inputs/in")',
    "out": "FROM /messages/modules/echo/outputs/* INTO $upstream",
}


@dataclass
class EdgeHubServer:
    """A stand-in that runs."""

    url: str
    ca: Path
    runner: Any
    faults: Faults
    held: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        trust = ssl.create_default_context(cafile=str(self.ca))
        self._http = httpx.Client(base_url=self.url, verify=trust, timeout=60, trust_env=False)

    def close(self) -> None:
        """Ask no more."""
        self._http.close()

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """The service's API, with a good signature unless the headers have another."""
        headers = {"Authorization": signature(), **options.pop("headers", {})}
        params = {"api-version": "2021-04-12", **options.pop("params", {})}
        return self._http.request(method, path, json=body, headers=headers, params=params)

    def get(self, path: str) -> Any:
        """What is there."""
        answer = self.ask("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    def apply(self, device: str, modules: Mapping[str, Any], **parts: Any) -> None:
        """Modules for a device."""
        answer = self.ask("POST", f"/devices/{device}/applyConfigurationContent", content(modules, **parts))
        assert answer.status_code == 204, answer.text

    def reported(self, device: str, module: str = "$edgeAgent") -> dict[str, Any]:
        """Reported properties of a module."""
        return dict(self.get(f"/twins/{device}/modules/{quote(module)}")["properties"]["reported"])

    def running(self, device: str, module: str) -> bool:
        """Whether the agent says that it runs what is desired now."""
        twin = self.get(f"/twins/{device}/modules/%24edgeAgent")["properties"]
        told = twin["reported"].get("lastDesiredVersion") == twin["desired"]["$version"]
        return told and twin["reported"]["modules"].get(module, {}).get("runtimeStatus") == "running"

    def method(self, device: str, module: str, name: str, payload: Any = None, **options: Any) -> httpx.Response:
        """A direct method."""
        body = {"methodName": name, "payload": payload, "responseTimeoutInSeconds": 10, **options}
        return self.ask("POST", f"/twins/{device}/modules/{quote(module)}/methods", body)

    def own(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """A call of the rehearsal's own; what it answers."""
        answer = self.ask_own(method, path, body, **params)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def ask_own(self, method: str, path: str, body: Any = None, **params: Any) -> httpx.Response:
        """A call of the rehearsal's own."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return self._http.request(method, f"/_edge/{path}", json=body, params=params, headers=headers)

    def send(self, device: str, module: str, *bodies: bytes, start: int = 0, **properties: str) -> dict[str, Any]:
        """Messages of a leaf device of a device, each with a message id."""
        messages = [
            {
                "body": base64.b64encode(body).decode(),
                "properties": properties,
                "system": {"messageId": f"m{start + number}"},
            }
            for number, body in enumerate(bodies)
        ]
        return dict(self.own("POST", "messages", {"module": module, "device": device, "messages": messages}))

    def received(self, count: int, *, after: int = 0, timeout_s: float = 30) -> list[dict[str, Any]]:
        """So many messages of the cloud."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < count and time.monotonic() < deadline:
            answer = self.own("GET", "upstream", after=after, wait=2, most=5000)
            found, after = found + answer["messages"], answer["last"]
        return found


def signature(*, key: str = "", resource: str = HOST, lasts_s: int = 600, policy: str = POLICY) -> str:
    """Of the service."""
    encoded, expiry = quote(resource, safe=""), int(time.time()) + lasts_s
    signed = quote(sign(key or key_of(TOKEN), f"{encoded}\n{expiry}".encode()), safe="")
    return f"SharedAccessSignature sr={encoded}&sig={signed}&se={expiry}&skn={policy}"


def module_spec(image: str = "echo:1", **changed: Any) -> dict[str, Any]:
    """A module, as the agent's desired properties have it."""
    settings = {"image": image, "createOptions": "{}", **changed.pop("settings", {})}
    return {"type": "docker", "status": "running", "restartPolicy": "always", "settings": settings, **changed}


def content(modules: Mapping[str, Any], *, routes: Mapping[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    """Of ``applyConfigurationContent``.

    Args:
        own: Desired properties of modules.
    """
    system = {"image": "mcr.microsoft.com/azureiotedge-hub:1.6", "createOptions": "{}"}
    agent = {
        "schemaVersion": "1.1",
        "runtime": {"type": "docker", "settings": {"minDockerVersion": "v1.25"}},
        "systemModules": {
            "edgeAgent": {"type": "docker", "settings": system},
            "edgeHub": {"type": "docker", "settings": system, "status": "running", "restartPolicy": "always"},
        },
        "modules": dict(modules),
    }
    hub = {
        "schemaVersion": "1.1",
        "routes": dict(ECHO_ROUTES if routes is None else routes),
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    given = {"$edgeAgent": agent, "$edgeHub": hub, **own}
    return {"modulesContent": {name: {"properties.desired": properties} for name, properties in given.items()}}


@contextmanager
def hub_server(folder: Path, runner: Any) -> Iterator[EdgeHubServer]:
    """Runs one until the block ends."""
    faults, held = Faults(FAULTS), list[int]()
    with serving_stand_in(folder, create_app, faults, runner, held.append, lifespan="on") as (url, ca):
        server = EdgeHubServer(url, ca, runner, faults, held)
        yield server
        server.close()
