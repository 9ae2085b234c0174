"""A server of files on loopback, with the faults that networks and servers have."""

import hashlib
import io
import ssl
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runtime.contract.package import read_package


@dataclass
class ArchiveServer:
    """What it serves, by path, and how.

    Attributes:
        cut_after: Of a path: bytes after which the connection is cut, so often.
        statuses: Of a path: what is answered first, one after the other.
        redirects: Of a path: where to.
        stall: Of a path: nothing more is sent behind this many bytes until ``go_on``.
        ranges: Whether parts of files are sent.
        requests: Of a path.
        sent_bytes: Of bodies.
    """

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: dict[str, list[int]] = field(default_factory=dict)
    statuses: dict[str, list[int]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    stall: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    requests: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def offer(self, name: str, body: bytes, **changes: Any) -> dict[str, Any]:
        """The desired property for a file that is served from now on; ``changes`` need ``digest`` at least."""
        self.files[f"/{name}"] = body
        sha256 = hashlib.sha256(body).hexdigest()
        return {"url": f"{self.url}/{name}?sig=SECRET", "sha256": sha256, "size_bytes": len(body), **changes}


def packed(package: Path, mode: str = "w", folder: str = ".") -> bytes:
    """A package as an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        tar.add(package, folder)
    return buffer.getvalue()


def digest_of(package: Path) -> str:
    return read_package(package).digest


@contextmanager
def archive_server(context: ssl.SSLContext | None = None) -> Iterator[ArchiveServer]:
    """It ends with the block; with a context it speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            _answer(self, served, self.path.partition("?")[0])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    served = ArchiveServer(f"http{'s' if context else ''}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.go_on.set()
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, served: ArchiveServer, path: str) -> None:
    served.requests[path] += 1
    if served.statuses.get(path):
        _bare(handler, served.statuses[path].pop(0))
    elif path in served.redirects:
        _bare(handler, 302, location=served.redirects[path])
    elif path not in served.files:
        _bare(handler, 404)
    else:
        _send(handler, served, path)


def _bare(handler: BaseHTTPRequestHandler, status: int, **fields: str) -> None:
    handler.send_response(status)
    for name, value in {"content-length": "0", **fields}.items():
        handler.send_header(name, value)
    handler.end_headers()


def _send(handler: BaseHTTPRequestHandler, served: ArchiveServer, path: str) -> None:
    whole = served.files[path]
    asked = handler.headers.get("range", "")
    begins = int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges else 0
    body = whole[begins:]
    handler.send_response(206 if begins else 200)
    handler.send_header("content-length", str(len(body)))
    if begins:
        handler.send_header("content-range", f"bytes {begins}-{len(whole) - 1}/{len(whole)}")
    handler.end_headers()
    cuts = served.cut_after.get(path)
    most = cuts.pop(0) if cuts else len(body)
    stop = served.stall.get(path, len(body))
    _write(handler, served, body[: min(most, stop)])
    if stop < min(most, len(body)):
        served.stalled.set()
        served.go_on.wait(30)
        _write(handler, served, body[stop:most])
    if most < len(body):
        handler.close_connection = True


def _write(handler: BaseHTTPRequestHandler, served: ArchiveServer, body: bytes) -> None:
    served.sent_bytes += len(body)  # before whoever asked can know
    try:
        handler.wfile.write(body)
        handler.wfile.flush()
    except OSError:  # whoever asked is gone
        handler.close_connection = True
