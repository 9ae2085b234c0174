"""A small edge hub for the real module client: mosquitto with TLS, the workload API on a unix socket, and a hub's side.

The client's port is fixed (8883), so every hub has a loopback address of its own.
"""

import contextlib
import itertools
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from targets.rehearsal.certificates import write_certificates
from tests.support.absent import absent
from tests.support.edge_workload import workload_api

DEVICE, MODULE = "edge-1", "dray"
BASE = f"devices/{DEVICE}/modules/{MODULE}"
_PORT = 8883
_tries = itertools.count()


@dataclass(frozen=True)
class Output:
    """A message that the module sent."""

    name: str
    body: bytes
    message_id: str | None
    correlation_id: str | None
    properties: Mapping[str, str]
    came_s: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class EdgeHub:
    """What the tests see of it."""

    folder: Path
    address: str
    ca_file: Path
    twin: dict[str, Any] = field(default_factory=lambda: {"desired": {"$version": 1}, "reported": {"$version": 1}})
    outputs: list[Output] = field(default_factory=list)
    patches: list[dict[str, Any]] = field(default_factory=list)
    broker: "subprocess.Popen[bytes] | None" = None
    _client: Any = None
    _last: Any = None
    _answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    # --- what the module needs

    def environment(self) -> dict[str, str]:
        """As the edge agent gives it."""
        return {
            "IOTEDGE_WORKLOADURI": f"unix://{self.folder}/workload.sock",
            "IOTEDGE_DEVICEID": DEVICE,
            "IOTEDGE_MODULEID": MODULE,
            "IOTEDGE_MODULEGENERATIONID": "1",
            "IOTEDGE_IOTHUBHOSTNAME": "hub.example",
            "IOTEDGE_GATEWAYHOSTNAME": self.address,
            "IOTEDGE_APIVERSION": "2019-01-30",
            "IOTEDGE_AUTHSCHEME": "sasToken",
            "DRAY_EDGE_FOLDER": str(self.folder / "kept"),
        }

    # --- the broker

    def start_broker(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            argv = ["/usr/sbin/mosquitto", "-c", str(self.folder / "mosquitto.conf")]
            self.broker = subprocess.Popen(argv, stdout=log, stderr=log)
        _wait_for_port(self.address)
        self._client = self._connected()

    def stop_broker(self) -> None:
        """It writes what it holds, and is gone."""
        if self._client is not None:
            if self._last is not None:
                self._last.wait_for_publish(60)  # what was sent has reached the broker
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        if self.broker is not None:
            self.broker.terminate()
            self.broker.wait(timeout=10)
            self.broker = None

    # --- the hub's side

    def send(self, body: bytes | str | Any, name: str = "inference", **properties: str) -> None:
        """A message to an input; ``mid`` and ``cid`` are its ids, ``ct`` its content type."""
        given = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        system = {key: f"$.{key}" for key in ("mid", "cid", "ct", "ce")}
        said = "&".join(
            f"{quote(system.get(key, key), safe='$')}={quote(value, safe='')}" for key, value in properties.items()
        )
        self._last = self._client.publish(f"{BASE}/inputs/{name}/{said}", given, qos=1)

    def desire(self, section: Mapping[str, Any]) -> None:
        """Change desired properties under ``dray``."""
        desired = self.twin["desired"]
        desired["$version"] += 1
        desired["dray"] = _merged(desired.get("dray", {}), section)
        patch = {"dray": dict(section), "$version": desired["$version"]}
        self._publish(f"$iothub/twin/PATCH/properties/desired/?$version={desired['$version']}", patch)

    def call(self, method: str, payload: Any = None, timeout_s: float = 30) -> tuple[int, Any]:
        """Status and payload of a direct method."""
        rid = str(next(self._numbers))
        self._publish(f"$iothub/methods/POST/{method}/?$rid={rid}", payload)
        self.wait(lambda: rid in self._answers, timeout_s, f"no answer of {method}")
        return self._answers.pop(rid)

    @property
    def reported(self) -> dict[str, Any]:
        """Under ``dray``."""
        found: dict[str, Any] = self.twin["reported"].get("dray", {})
        return found

    def wait(self, condition: Callable[[], bool], timeout_s: float = 30, what: str = "it did not happen") -> None:
        """Until something that came from the module makes it true."""
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise AssertionError(f"{what}; reported {self.reported}, {len(self.outputs)} outputs")

    def wait_for_outputs(self, count: int, timeout_s: float = 30) -> list[Output]:
        self.wait(lambda: len(self.outputs) >= count, timeout_s, f"not {count} outputs")
        return self.outputs

    def wait_until_taking(self, timeout_s: float = 30) -> None:
        """Until the module has asked for messages, or is held."""
        self.wait(lambda: self.reported.get("state") in ("ready", "held"), timeout_s, "the module is not ready")

    # --- inside

    def _connected(self) -> Any:
        import paho.mqtt.client as mqtt

        given: dict[str, Any] = {"client_id": "$hub", "clean_session": False}
        if hasattr(mqtt, "CallbackAPIVersion"):
            given["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION2
        client = mqtt.Client(**given)
        context = ssl.create_default_context(cafile=str(self.ca_file))
        client.tls_set_context(context)
        client.max_queued_messages_set(0)
        client.max_inflight_messages_set(1000)
        client.on_message = lambda _client, _data, message: self._on_message(message)
        client.on_socket_open = lambda _client, _data, opened: opened.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect(self.address, _PORT, keepalive=60)
        client.loop_start()
        client.subscribe([(f"{BASE}/messages/events/#", 1), ("$iothub/#", 1)])
        if not subscribed.wait(10):
            raise AssertionError("the broker does not answer")
        return client

    def _publish(self, topic: str, payload: Any) -> None:
        self._client.publish(topic, json.dumps(payload).encode(), qos=1)

    def _on_message(self, message: Any) -> None:
        topic, payload = message.topic, bytes(message.payload)
        with self._changed:
            if topic.startswith(f"{BASE}/messages/events/"):
                self.outputs.append(_output(topic, payload))
            elif topic.startswith("$iothub/twin/GET/"):
                self._publish(f"$iothub/twin/res/200/?$rid={_rid(topic)}", self.twin)
            elif topic.startswith("$iothub/twin/PATCH/properties/reported/"):
                patch = json.loads(payload)
                self.patches.append(patch)
                self.twin["reported"] = _merged(self.twin["reported"], patch)
                self._publish(f"$iothub/twin/res/204/?$rid={_rid(topic)}&$version=2", None)
            elif topic.startswith("$iothub/methods/res/"):
                self._answers[_rid(topic)] = (int(topic.split("/")[3]), json.loads(payload))
            self._changed.notify_all()


@contextmanager
def edge_hub(*, inflight: int = 20) -> Iterator[EdgeHub]:
    """A running hub; it ends with the block."""
    if not shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin"):
        absent("there is no mosquitto")
    try:
        import azure.iot.device  # noqa: F401
    except ImportError:
        absent("azure-iot-device is not installed")
    # Short: the path of a unix socket has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="edge-") as folder, _own_address() as address:
        path = Path(folder)
        (path / "kept").mkdir()
        ca_file = path / "ca.pem"
        write_certificates(ca_file, path / "server.pem", path / "server.key", address=address)
        (path / "mosquitto.conf").write_text(_configuration(path, address, inflight))
        hub = EdgeHub(path, address, ca_file)
        with workload_api(path / "workload.sock", MODULE, ca_file.read_text()):
            try:
                hub.start_broker()
                yield hub
            finally:
                hub.stop_broker()


def _configuration(folder: Path, address: str, inflight: int) -> str:
    lines = [
        f"listener {_PORT} {address}",
        f"certfile {folder}/server.pem",
        f"keyfile {folder}/server.key",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        f"max_inflight_messages {inflight}",
        "max_queued_messages 0",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "set_tcp_nodelay true",
    ]
    if os.geteuid() == 0:
        lines.append("user root")
    return "\n".join(lines) + "\n"


@contextmanager
def _own_address() -> Iterator[str]:
    """A loopback address on which nobody listens at the port, kept for this process by another port of it."""
    while True:
        number = (os.getpid() * 61 + next(_tries)) % 65000
        address = f"127.80.{number // 254}.{number % 254 + 1}"
        with socket.socket() as kept:
            try:
                kept.bind((address, _PORT - 1))
            except OSError:
                continue
            yield address
            return


def _wait_for_port(address: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address, _PORT), timeout=1):
            return
        time.sleep(0.01)
    raise AssertionError("mosquitto does not listen")


def _output(topic: str, payload: bytes) -> Output:
    properties: dict[str, str] = {}
    for pair in topic.rpartition("/")[2].split("&"):
        name, _, value = pair.partition("=")
        properties[unquote(name)] = unquote(value)
    own = {name: value for name, value in properties.items() if not name.startswith("$.")}
    ids = properties.get("$.mid"), properties.get("$.cid")
    return Output(properties.get("$.on", ""), payload, *ids, own, time.monotonic())


def _rid(topic: str) -> str:
    return topic.partition("$rid=")[2].partition("&")[0]


def _merged(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            before = result.get(name)
            result[name] = (
                _merged(before if isinstance(before, dict) else {}, value) if isinstance(value, dict) else value
            )
    return result
