"""A small proxy on loopback in front of a real workload, that answers for it: wrong numbers, or never ready."""

import http.client
import logging
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Literal

from targets.rehearsal.addresses import Addresses
from targets.rehearsal.workload import PullCredential, Runner, Workload, WorkloadStatus
from targets.rehearsal.wrong_numbers import tampered

logger = logging.getLogger(__name__)

Way = Literal["wrong", "unready"]
# Where the runtime says that it lives, which one that is not ready does too.
_LIVE: Final = ("/livez", "/v2/health/live", "/v2")
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding", "host"}
)
_PATIENCE_S: Final = 60.0


class TamperedRunner:
    """Stands in front of the real runner, for one group: workloads listen elsewhere, the proxy in their place."""

    def __init__(self, inner: Runner, addresses: Addresses, way: Way) -> None:
        self.kind: Literal["containers", "processes"] = inner.kind
        self._inner = inner
        self._addresses = addresses
        self._way: Way = way
        self._fronts: dict[str, tuple[str, list[ThreadingHTTPServer]]] = {}
        self._lock = threading.Lock()

    def pull(self, image: str, credential: PullCredential | None) -> str:
        """As the real one."""
        return self._inner.pull(image, credential)

    def start(self, workload: Workload) -> None:
        """The real workload on another address, and the proxy on its own."""
        behind, servers = self._addresses.take(None, workload.ports), list[ThreadingHTTPServer]()
        with self._lock:
            self._fronts[workload.id] = behind, servers
        servers += (_front(workload, behind, port, self._way) for port in workload.ports)
        self._inner.start(replace(workload, address=behind))

    def status(self, id: str) -> WorkloadStatus:  # noqa: A002 - the protocol's own name
        """Of the real one."""
        return self._inner.status(id)

    def logs(self, id: str, *, tail: int | None = None) -> str:  # noqa: A002
        """Of the real one."""
        return self._inner.logs(id, tail=tail)

    def stop(self, id: str, *, grace_s: float) -> None:  # noqa: A002
        """Both."""
        self._inner.stop(id, grace_s=grace_s)
        self._close(id)

    def remove(self, id: str) -> None:  # noqa: A002
        """Both."""
        self._inner.remove(id)
        self._close(id)

    def running(self) -> Iterator[str]:
        """Of the real one."""
        return self._inner.running()

    def _close(self, id: str) -> None:  # noqa: A002
        with self._lock:
            behind, servers = self._fronts.pop(id, ("", []))
        for server in servers:
            server.shutdown()
            server.server_close()
        if behind:
            self._addresses.give_back(behind)


def _front(workload: Workload, behind: str, port: int, way: Way) -> ThreadingHTTPServer:
    tls = _tls_of(workload)

    class Front(_Proxy):
        target = (behind, port)
        manner = way
        secure = tls is not None

    server = ThreadingHTTPServer((workload.address, port), Front)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.1,), name=f"front {workload.id}", daemon=True).start()
    return server


def _tls_of(workload: Workload) -> ssl.SSLContext | None:
    """The workload's own certificate, where it serves TLS: the proxy must speak as it does."""
    certificate = workload.files.get(workload.environment.get("DRAY_TLS_CERT_FILE", ""))
    key = workload.files.get(workload.environment.get("DRAY_TLS_KEY_FILE", ""))
    if certificate is None or key is None:
        return None
    return _context(certificate, key)


def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="dray-front-") as folder:
        paths = Path(folder, "cert.pem"), Path(folder, "key.pem")
        for path, content in zip(paths, (certificate, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        context.load_cert_chain(*paths)
    return context


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    manner: Way
    secure: bool

    def handle_one_request(self) -> None:
        """The base class's, for any verb."""
        try:
            super().handle_one_request()
        except (OSError, http.client.HTTPException) as error:
            logger.debug("the proxy's client or workload went away: %s", error)
            self.close_connection = True

    def _relay(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if self.manner == "unready" and path not in _LIVE:
            self._send(503, [("Content-Type", "application/json")], b'{"error": "the model is not ready"}')
            return
        try:
            status, headers, body = self._ask(content)
        except (OSError, http.client.HTTPException):
            self.close_connection = True
            return
        if self.manner == "wrong" and self.command == "POST" and status == 200:
            body = tampered(body, {name.lower(): value for name, value in headers})
        self._send(status, headers, body)

    def _ask(self, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection: http.client.HTTPConnection
        if self.secure:
            context = ssl._create_unverified_context()  # noqa: S323 - its own workload, on loopback
            connection = http.client.HTTPSConnection(*self.target, timeout=_PATIENCE_S, context=context)
        else:
            connection = http.client.HTTPConnection(*self.target, timeout=_PATIENCE_S)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
            connection.request(self.command, self.path, content or None, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _relay  # noqa: N815 - the base class looks for them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
        """Nothing: what a proxy relays may be private."""
