"""An IoT hub's service API in this process, small and scripted: SAS, etags and refusals as the real one's."""

import base64
import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.scripted_device import Failing, Image, Json, ModelOnDevice, log_answer, reported_by

HOST = "scripted.azure-devices.net"
KEY = base64.b64encode(b"the key of this hub's policy").decode()
CONNECTION_STRING = f"HostName={HOST};SharedAccessKeyName=iothubowner;SharedAccessKey={KEY}"
AGENT, ROUTER = "$edgeAgent", "$edgeHub"


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


@dataclass
class Twin:
    desired: Json = field(default_factory=dict)
    reported: Json = field(default_factory=dict)
    tags: Json = field(default_factory=dict)
    version: int = 1
    etag: int = 1


@dataclass
class Device:
    name: str
    connected: bool = True
    edge: bool = True
    platform: str = "x86_64"
    twin: Twin = field(default_factory=Twin)
    modules: dict[str, Twin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (AGENT, ROUTER) if self.edge else ():
            self.modules.setdefault(name, Twin())


@dataclass
class ScriptedHub:
    """State of a hub, and what its devices make of what they are given.

    Attributes:
        slow: Devices take a manifest one look at their agent later.
        without_base: Devices that layers do not reach.
        images: What an image is on a device.
        requests: Method and path of every one.
        refusals: What the next requests are refused with, one each.
    """

    devices: dict[str, Device] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    configurations: dict[str, Json] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    on_request: Callable[[str], None] = lambda line: None
    url: str = ""
    without_base: set[str] = field(default_factory=set)
    slow: bool = False
    applied: dict[str, Json] = field(default_factory=dict)

    def add(self, name: str, **facts: Any) -> Device:
        self.devices[name] = Device(name, **facts)
        self.report(self.devices[name])
        return self.devices[name]

    def report(self, device: Device) -> None:
        """Let a connected device deal with what it is given."""
        if not device.edge or not device.connected:
            return
        agent = device.modules[AGENT]
        desired = agent.desired
        agent.reported = reported_by(desired, agent.version, self.images.get, device.platform)
        for name, entry in (desired.get("modules") or {}).items():
            twin, image = device.modules.setdefault(name, Twin()), self.images.get(entry["settings"]["image"])
            if isinstance(image, ModelOnDevice):
                _, health = image.call("health", {}, twin.desired)
                twin.reported = {"dray": {"state": health["state"], "digest": health["digest"]}}
        for name in set(device.modules) - {AGENT, ROUTER} - set(desired.get("modules") or {}):
            del device.modules[name]

    def settle(self) -> None:
        """Let every device have what its configurations say."""
        for device in self.devices.values():
            mine = [each for each in self.configurations.values() if self._meets(device, each["targetCondition"])]
            if device.name in self.without_base:
                continue
            layers = sorted(mine, key=lambda each: each["priority"])
            base = self.applied.setdefault(
                device.name, json.loads(json.dumps({n: t.desired for n, t in device.modules.items()}))
            )
            wanted = json.loads(json.dumps(base))
            for layer in layers:
                for module, paths in layer["content"]["modulesContent"].items():
                    for path, value in paths.items():
                        *parents, last = path.removeprefix("properties.desired.").split(".")
                        place = wanted.setdefault(module, {})
                        for parent in parents:
                            place = place.setdefault(parent, {})
                        place[last] = value
            for name, desired in wanted.items():
                twin = device.modules.setdefault(name, Twin())
                if twin.desired != desired:
                    twin.desired, twin.version, twin.etag = desired, twin.version + 1, twin.etag + 1
            self.report(device)

    def answer(
        self, method: str, path: str, query: dict[str, list[str]], headers: Any, body: Any
    ) -> tuple[int, Any, dict[str, str]]:
        if self.refusals:
            raise self.refusals.pop(0)
        _verify(headers.get("Authorization") or "")
        if query.get("api-version") != ["2021-04-12"]:
            raise Refused(400, "InvalidProtocolVersion", "no such version")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match (method, *parts):
            case ("GET", "twins", device):
                return 200, self._device_twin(device), {}
            case ("PATCH", "twins", device):
                return 200, self._patch_device(device, body, headers), {}
            case ("GET", "twins", device, "modules", module):
                return 200, self._module_twin(device, module), {}
            case ("PATCH", "twins", device, "modules", module):
                return 200, self._patch_module(device, module, body, headers), {}
            case ("POST", "twins", device, "modules", module, "methods"):
                return 200, self._method(device, module, body), {}
            case ("POST", "devices", "query"):
                return self._query(body["query"], headers)
            case ("POST", "devices", device, "applyConfigurationContent"):
                self._apply(device, body)
                return 204, None, {}
            case ("GET", "configurations"):
                return 200, [self._shown(name) for name in self.configurations], {}
            case ("GET" | "PUT" | "DELETE", "configurations", name):
                return self._configuration(method, name, body, headers)
        raise Refused(404, "ResourceNotFound", path)

    def _find(self, device: str) -> Device:
        if device not in self.devices:
            raise Refused(404, "DeviceNotFound", f"Device {device} not registered")
        return self.devices[device]

    def _module(self, device: str, module: str) -> Twin:
        found = self._find(device).modules.get(module)
        if found is None:
            raise Refused(404, "ModuleNotFound", f"Module {module} on device {device} not registered")
        return found

    def _device_twin(self, device: str) -> Json:
        found = self._find(device)
        return {"deviceId": device, "etag": f"AAA{found.twin.etag}", "tags": found.twin.tags,
                "connectionState": "Connected" if found.connected else "Disconnected",
                "capabilities": {"iotEdge": found.edge}, "properties": _properties(found.twin)}  # fmt: skip

    def _module_twin(self, device: str, module: str) -> Json:
        twin, found = self._module(device, module), self._find(device)
        shown = _properties(twin)
        if self.slow and module == AGENT:
            self.report(found)
        how = "Targeted" if device in self.without_base else "Applied"
        applied = {name: {"status": how} for name, each in self.configurations.items()
                   if self._meets(found, each["targetCondition"])}  # fmt: skip
        return {"deviceId": device, "moduleId": module, "etag": f"AAA{twin.etag}", "properties": shown,
                "connectionState": "Connected" if found.connected else "Disconnected",
                "configurations": applied if module == AGENT else {}}  # fmt: skip

    def _patch_device(self, device: str, body: Json, headers: Any) -> Json:
        found = self._find(device)
        _match(headers, f"AAA{found.twin.etag}")
        found.twin.tags = _merged(found.twin.tags, body.get("tags") or {})
        assert len(json.dumps(found.twin.tags)) <= 8192
        found.twin.etag += 1
        return self._device_twin(device)

    def _patch_module(self, device: str, module: str, body: Json, headers: Any) -> Json:
        twin = self._module(device, module)
        _match(headers, f"AAA{twin.etag}")
        twin.desired = _merged(twin.desired, body["properties"]["desired"])
        twin.version, twin.etag = twin.version + 1, twin.etag + 1
        self.report(self._find(device))
        return self._module_twin(device, module)

    def _apply(self, device: str, body: Json) -> None:
        found = self._find(device)
        assert {AGENT, ROUTER} <= set(body["modulesContent"])
        for name, content in body["modulesContent"].items():
            twin = found.modules.setdefault(name, Twin())
            twin.desired = content["properties.desired"]
            twin.version, twin.etag = twin.version + 1, twin.etag + 1
        if not self.slow:
            self.report(found)

    def _method(self, device: str, module: str, body: Json) -> Json:
        found = self._find(device)
        entry = (found.modules[AGENT].desired.get("modules") or {}).get(module)
        if not found.connected or (module != AGENT and entry is None):
            inner = {"errorCode": 404103, "message": "Timed out waiting for device to connect."}
            raise Refused(404, "DeviceNotOnline", json.dumps(inner))
        if module == AGENT:
            asked = body["payload"]["items"][0]["id"].strip("^$")
            image = self.images.get(found.modules[AGENT].desired["modules"][asked]["settings"]["image"])
            text = image.log if isinstance(image, Failing) else "serving\nready\n"
            return {"status": 200, "payload": log_answer(asked, text)}
        image = self.images.get(entry["settings"]["image"])
        if not isinstance(image, ModelOnDevice):
            raise Refused(404, "DeviceNotOnline", json.dumps({"errorCode": 404103, "message": "not connected"}))
        status, payload = image.call(body["methodName"], body["payload"], found.modules[module].desired)
        return {"status": status, "payload": payload}

    def _query(self, text: str, headers: Any) -> tuple[int, Any, dict[str, str]]:
        condition = text.partition(" WHERE ")[2]
        rows = [self._device_twin(name) for name, each in sorted(self.devices.items()) if self._meets(each, condition)]
        start, size = int(headers.get("x-ms-continuation") or 0), int(headers.get("x-ms-max-item-count") or 100)
        more = {"x-ms-continuation": str(start + size)} if start + size < len(rows) else {}
        return 200, rows[start : start + size], more

    def _meets(self, device: Device, condition: str) -> bool:
        """The few conditions that tests have: parts joined by AND."""
        for each in re.split(r"\s+AND\s+", condition):
            part = each.strip("() ")
            if found := re.fullmatch(r"tags\.(\w+)\s*=\s*'([^']*)'", part):
                if device.twin.tags.get(found[1]) != found[2]:
                    return False
            elif part == "capabilities.iotEdge = true":
                if not device.edge:
                    return False
            elif found := re.fullmatch(r"is_defined\(tags\.(\w+)\)?", part):
                if found[1] not in device.twin.tags:
                    return False
            else:
                raise Refused(400, "InvalidQuery", f"unknown condition {part!r}")
        return True

    def _shown(self, name: str) -> Json:
        found = self.configurations[name]
        mine = [each for each in self.devices.values() if self._meets(each, found["targetCondition"])]
        up = sum(each.connected for each in mine)
        names = ("targetedCount", "appliedCount", "reportedSuccessfulCount", "reportedFailedCount")
        results = dict(zip(names, (len(mine), len(mine), up, 0), strict=True))
        return {**found, "systemMetrics": {"results": results, "queries": {}},
                "metrics": {"results": {}, "queries": found["metrics"]["queries"]}}  # fmt: skip

    def _configuration(self, method: str, name: str, body: Json, headers: Any) -> tuple[int, Any, dict[str, str]]:
        there = self.configurations.get(name)
        if method != "PUT" and there is None:
            raise Refused(404, "ConfigurationNotFound", name)
        if method == "GET":
            return 200, self._shown(name), {}
        if method == "DELETE":
            del self.configurations[name]
            self.settle()
            return 204, None, {}
        if there is not None:
            if headers.get("If-Match") is None:
                raise Refused(409, "ConfigurationAlreadyExists", name)
            _match(headers, there["etag"])
            if body["content"] != there["content"]:
                raise Refused(400, "ArgumentInvalid", "Configuration content cannot be updated")
        self.configurations[name] = {**body, "etag": f"MQ{time.monotonic_ns()}"}
        self.settle()
        return 200, self._shown(name), {}


def _properties(twin: Twin) -> Json:
    return {"desired": {**twin.desired, "$metadata": {}, "$version": twin.version},
            "reported": {**twin.reported, "$metadata": {}, "$version": 1}}  # fmt: skip


def _merged(old: Json, patch: Json) -> Json:
    new = dict(old)
    for name, value in patch.items():
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            new[name] = _merged(old[name] if isinstance(old.get(name), dict) else {}, value)
        else:
            new[name] = value
    return new


def _match(headers: Any, etag: str) -> None:
    given = headers.get("If-Match")
    if given is not None and given.strip('"') not in ("*", etag):
        raise Refused(412, "PreconditionFailed", f"existing version: {etag}")


def _verify(token: str) -> None:
    fields = dict(pair.split("=", 1) for pair in token.removeprefix("SharedAccessSignature ").split("&") if "=" in pair)
    signed = f"{fields.get('sr')}\n{fields.get('se')}".encode()
    right = base64.b64encode(hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()).decode()
    fresh = int(fields.get("se") or 0) > time.time()
    if (
        unquote(fields.get("sig", "")) != right
        or fields.get("skn") != "iothubowner"
        or fields.get("sr") != HOST
        or not fresh
    ):
        raise Refused(401, "IotHubUnauthorizedAccess", "Unauthorized")


@contextmanager
def serving_hub(hub: ScriptedHub) -> Iterator[ScriptedHub]:
    """The hub, at its ``url``."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"null")
            headers: dict[str, str] = {}
            with lock:
                hub.requests.append(f"{self.command} {parts.path}")
                hub.on_request(hub.requests[-1])
                try:
                    status, answer, headers = hub.answer(
                        self.command, parts.path, parse_qs(parts.query), self.headers, body
                    )
                except Refused as refused:
                    status, headers = refused.status, refused.headers
                    inner = (
                        refused.message
                        if refused.message.startswith("{")
                        else f"ErrorCode:{refused.code};{refused.message}"
                    )
                    answer = {"Message": inner, "ExceptionMessage": "Tracking ID:t"}
                content = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
