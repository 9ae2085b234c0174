"""A stand-in for a registry that does what registries do on bad days: refuse, throttle, break, cut, dawdle, lie.

It keeps what it is sent in memory, and speaks as much of the protocol as a push and a pull take, with the Bearer and
Basic schemes and the exchange of Azure's tokens.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

USER, PASSWORD = "ada", "s3cret-bearer"
REFRESH_TOKEN, ACCESS_TOKEN, AAD_TOKEN = "refresh-of-ada", "access-of-ada", "aad-of-ada"


@dataclass
class Fault:
    """What happens to the next ``times`` requests that match.

    Attributes:
        path: A pattern that is searched for in ``METHOD /path?query``.
        status: Answered instead of the real answer.
        cut: The connection ends: after so many bytes of the request's body were read, or of the answer's sent.
        wait_s: Before the real answer.
        spoil: The first byte of the real answer is another one.
    """

    path: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    wait_s: float = 0.0
    spoil: bool = False
    times: int = 1_000_000


@dataclass
class FaultyRegistry:
    """What it holds, what is wrong with it, and what it was asked.

    Attributes:
        scheme: ``bearer``, ``basic``, or empty for none.
        referrers: Whether it lists attached artifacts itself.
    """

    scheme: str = ""
    referrers: bool = True
    faults: list[Fault] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    tokens_asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def count(self, pattern: str) -> int:
        """How many requests matched."""
        return sum(bool(re.search(pattern, asked)) for asked in self.asked)

    def fault(self, asked: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.path, asked):
                fault.times -= 1
                return fault
        return None


@pytest.fixture
def faulty() -> Iterator[FaultyRegistry]:
    with running_faulty_registry() as registry:
        yield registry


@contextmanager
def running_faulty_registry(**facts: Any) -> Iterator[FaultyRegistry]:
    registry = FaultyRegistry(**facts)
    handler = type("Handler", (_Handler,), {"registry": registry})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    registry.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: FaultyRegistry
    cut: int | None = None
    spoil = False

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    def _answer(self) -> None:
        asked = f"{self.command} {self.path}"
        self.registry.asked.append(asked)
        self.registry.shown.append(self.headers.get("Authorization", ""))
        fault = self.registry.fault(asked)
        self.cut, self.spoil = (fault.cut, fault.spoil) if fault else (None, False)
        if fault and fault.cut is not None and self.command in ("PUT", "PATCH"):
            self.rfile.read(min(fault.cut, int(self.headers.get("Content-Length") or 0)))
            return self._hang_up()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if not self._chunked() else self._unchunk()
        if fault and fault.wait_s:
            time.sleep(fault.wait_s)
        if fault and fault.status:
            return self._send(fault.status, fault.body, **fault.headers)
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path in ("/token", "/oauth2/token", "/oauth2/exchange"):
            return self._token(parts.path, query, body)
        if self._unauthorized(parts.path):
            return self._challenge(parts.path)
        return self._serve(parts.path, query, body)

    def _serve(self, path: str, query: dict[str, str], body: bytes) -> None:
        if path == "/v2/":
            return self._send(200, b"{}")
        found = re.fullmatch(r"/v2/(.+)/(manifests|blobs/uploads|blobs|referrers)/([^/]*)", path)
        if not found:
            return self._send(404, _error("NAME_UNKNOWN"))
        repository, kind, name = found.groups()
        if kind == "blobs/uploads":
            return self._upload(repository, name, query, body)
        if kind == "manifests" and self.command == "PUT":
            return self._put_manifest(repository, name, body)
        if kind == "manifests":
            held = self.registry.manifests.get(f"{repository}:{name}")
            if held is None:
                return self._send(404, _error("MANIFEST_UNKNOWN"))
            return self._send(200, held[1], **{"Content-Type": held[0], "Docker-Content-Digest": _digest(held[1])})
        if kind == "referrers":
            return self._referrers(repository, name)
        blob = self.registry.blobs.get(name)
        return self._send_blob(blob) if blob is not None else self._send(404, _error("BLOB_UNKNOWN"))

    def _upload(self, repository: str, name: str, query: dict[str, str], body: bytes) -> None:
        uploads = self.registry.uploads
        if self.command == "POST":
            if query.get("mount") in self.registry.blobs:
                return self._send(201, b"", Location=f"/v2/{repository}/blobs/{query['mount']}")
            name = f"u{len(uploads)}"
            uploads[name] = bytearray()
            return self._send(202, b"", Location=f"/v2/{repository}/blobs/uploads/{name}?state=x")
        uploads[name] += body
        if self.command == "PATCH":
            return self._send(202, b"", Location=f"/v2/{repository}/blobs/uploads/{name}?state=x")
        content = bytes(uploads.pop(name))
        if _digest(content) != query.get("digest"):
            return self._send(400, _error("DIGEST_INVALID"))
        self.registry.blobs[_digest(content)] = content
        return self._send(201, b"", Location=f"/v2/{repository}/blobs/{_digest(content)}")

    def _put_manifest(self, repository: str, name: str, body: bytes) -> None:
        document = json.loads(body)
        needed = [*document.get("layers", []), *([document["config"]] if "config" in document else [])]
        listed = [entry["digest"] for entry in document.get("manifests", [])]
        if missing := [each["digest"] for each in needed if each["digest"] not in self.registry.blobs]:
            return self._send(400, _error("MANIFEST_BLOB_UNKNOWN", missing[0]))
        if missing := [each for each in listed if f"{repository}:{each}" not in self.registry.manifests]:
            return self._send(400, _error("MANIFEST_UNKNOWN", missing[0]))
        for selector in (name, _digest(body)):
            self.registry.manifests[f"{repository}:{selector}"] = (self.headers["Content-Type"], body)
        return self._send(201, b"", **{"Docker-Content-Digest": _digest(body)})

    def _referrers(self, repository: str, digest: str) -> None:
        if not self.registry.referrers:
            return self._send(404, b"404 page not found")
        entries = []
        for key, (media_type, content) in self.registry.manifests.items():
            document = json.loads(content)
            if key == f"{repository}:{_digest(content)}" and (document.get("subject") or {}).get("digest") == digest:
                entry = {"mediaType": media_type, "digest": _digest(content), "size": len(content)}
                entries.append({**entry, "artifactType": document.get("artifactType")})
        return self._send(200, json.dumps({"schemaVersion": 2, "manifests": entries}).encode())

    def _send_blob(self, blob: bytes) -> None:
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if begin is None:
            return self._send(200, blob)
        rest = blob[int(begin[1]) :]
        return self._send(206, rest, **{"Content-Range": f"bytes {begin[1]}-{len(blob) - 1}/{len(blob)}"})

    def _unauthorized(self, path: str) -> bool:
        shown = self.headers.get("Authorization", "")
        if self.registry.scheme == "basic":
            return shown != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        return self.registry.scheme == "bearer" and shown != f"Bearer {ACCESS_TOKEN}"

    def _challenge(self, path: str) -> None:
        realm = f"http://{self.registry.host}/token"
        header = f'Bearer realm="{realm}",service="stand-in",scope="repository:x:pull"'
        header = header if self.registry.scheme == "bearer" else 'Basic realm="stand-in"'
        return self._send(401, _error("UNAUTHORIZED"), **{"WWW-Authenticate": header})

    def _token(self, path: str, query: dict[str, str], body: bytes) -> None:
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.registry.tokens_asked.append({"path": path, **query, **form})
        if path == "/oauth2/exchange":
            known = form.get("access_token") == AAD_TOKEN and form.get("service") == self.registry.host
            return self._send(
                200 if known else 401, json.dumps({"refresh_token": REFRESH_TOKEN} if known else {}).encode()
            )
        basic = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
        known = form.get("refresh_token") == REFRESH_TOKEN or self.headers.get("Authorization") == basic
        return self._send(200 if known else 401, json.dumps({"access_token": ACCESS_TOKEN} if known else {}).encode())

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        if self.spoil and body:
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if self.cut is not None:
            self.wfile.write(body[: self.cut])
            return self._hang_up()
        self.wfile.write(body)
        return None

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _unchunk(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline().strip(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _error(code: str, message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}).encode()
