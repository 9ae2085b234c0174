"""A workload API on a unix socket, as a device gives it to a module."""

import base64
import hashlib
import hmac
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_KEY = b"a key of the module"


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def workload_api(path: Path, module: str, bundle: str) -> Iterator[None]:
    """Trust and signatures for one module, on a socket, until the block ends."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def address_string(self) -> str:
            return "module"

        def log_message(self, *args: object) -> None:
            """Nothing."""

        def do_GET(self) -> None:
            self._answer({"certificate": bundle} if self.path.startswith("/trust-bundle") else None)

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            known = self.path.startswith(f"/modules/{module}/genid/1/sign")
            digest = hmac.new(_KEY, base64.b64decode(asked["data"]), hashlib.sha256).digest()
            self._answer({"digest": base64.b64encode(digest).decode()} if known else None)

        def _answer(self, document: Any) -> None:
            body = json.dumps(document or {"message": "not found"}).encode()
            self.send_response(200 if document else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = _UnixServer(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
