"""A runner of rehearsals whose modules are threads: real clients of an edge hub, with a package's model behind them."""

import base64
import json
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from targets.rehearsal.clock import now
from targets.rehearsal.workload import Workload, WorkloadStatus
from tests.support.fake_runner import FakeRunner, Image, _Run
from tests.support.scripted_device import ModelOnDevice

_METHODS = "$iothub/methods/"


@dataclass
class ThreadRunner(FakeRunner):
    """Images by name as in ``models``.

    Attributes:
        models: What an image answers direct methods with.
    """

    models: dict[str, ModelOnDevice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self.clients: dict[str, Any] = {}

    def start(self, workload: Workload) -> None:
        self.started.append(workload)
        self.clients[workload.id] = _client(workload, self.models[workload.image])
        self.runs[workload.id] = _Run(workload, Image(), WorkloadStatus("running", started_at=now()))

    def end(self, id: str, exit_code: int, reason: str = "") -> None:  # noqa: A002
        if client := self.clients.pop(id, None):
            client.disconnect()
            client.loop_stop()
        super().end(id, exit_code, reason)

    def remove(self, id: str) -> None:  # noqa: A002
        self.end(id, 0)
        super().remove(id)


def _client(workload: Workload, model: ModelOnDevice) -> Any:
    """A module that answers direct methods, and comes back when its hub does."""
    import paho.mqtt.client as mqtt

    given, [socket] = workload.environment, workload.mounts.sockets.values()
    device, module = given["IOTEDGE_DEVICEID"], given["IOTEDGE_MODULEID"]
    options: dict[str, Any] = {"client_id": f"{device}/{module}", "clean_session": True}
    if hasattr(mqtt, "CallbackAPIVersion"):
        options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
    client: Any = mqtt.Client(**options)
    authority, password = _workload_api(socket, module, given)
    client.tls_set_context(ssl.create_default_context(cadata=authority))
    client.username_pw_set(f"{given['IOTEDGE_IOTHUBHOSTNAME']}/{device}/{module}/?api-version=2018-06-30", password)
    client.reconnect_delay_set(0.1, 0.1)

    def asked(_client: Any, _data: Any, message: Any) -> None:
        name, _, request = message.topic.removeprefix(f"{_METHODS}POST/").partition("/?$rid=")
        status, answer = model.call(name, json.loads(message.payload or b"null"), {})
        client.publish(f"{_METHODS}res/{status}/?$rid={request}", json.dumps(answer).encode())

    client.on_message = asked
    client.on_connect = lambda *_: client.subscribe(f"{_METHODS}POST/#")
    client.connect(given["IOTEDGE_GATEWAYHOSTNAME"], 8883, keepalive=60)
    client.loop_start()
    return client


def _workload_api(socket: Path, module: str, given: Any) -> tuple[str, str]:
    """Whom the module trusts, and its token."""
    expiry, version = int(time.time()) + 600, {"api-version": given["IOTEDGE_APIVERSION"]}
    resource = quote(f"{given['IOTEDGE_IOTHUBHOSTNAME']}/devices/{given['IOTEDGE_DEVICEID']}/modules/{module}", safe="")
    content = base64.b64encode(f"{resource}\n{expiry}".encode()).decode()
    body = {"keyId": "primary", "algo": "HMACSHA256", "data": content}
    path = f"/modules/{module}/genid/{given['IOTEDGE_MODULEGENERATIONID']}/sign"
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://workload", params=version
    ) as api:
        authority = api.get("/trust-bundle").json()["certificate"]
        signed = quote(api.post(path, json=body).json()["digest"], safe="")
    return authority, f"SharedAccessSignature sr={resource}&sig={signed}&se={expiry}"
