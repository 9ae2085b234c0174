"""A stand-in for `python -m runtime` that starts fast and misbehaves on demand: `fake_runtime.py MODE`.

Modes: ok, crash (ends with status 3), fail (state failed for ever), hang (never ready), wrong (floats off by 0.5),
stubborn (ignores SIGTERM).
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from runtime.contract.package import VerifiedPackage, read_package

MODE = sys.argv[1]


class Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        manifest = PACKAGE.manifest
        if self.path == "/readyz":
            state = {"fail": "failed", "hang": "starting"}.get(MODE, "ready")
            why = {"error_code": "E-SELF-TEST", "message": "output 'y' differs"} if MODE == "fail" else {}
            addresses = [f"127.0.0.1:{server.port}" for server in SERVERS]
            self._answer(
                200 if state == "ready" else 503, {"state": state, "models": [], "addresses": addresses, **why}
            )
        elif self.path == f"/v2/models/{manifest.name}":
            sides = {"inputs": manifest.signature.inputs, "outputs": manifest.signature.outputs}
            self._answer(200, {
                "name": manifest.name, "versions": [manifest.version], "platform": "onnx",
                "parameters": {"digest": PACKAGE.digest, "version": manifest.version},
                **{side: [_metadata(spec) for spec in specs] for side, specs in sides.items()},
            })  # fmt: skip
        else:
            self._refuse(404, "E-NO-MODEL", "no such model")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(float((body.get("parameters") or {}).get("sleep_s", 0)))
        given = {tensor["name"]: tensor["data"] for tensor in body["inputs"]}
        for case in PACKAGE.test_data_sets():
            if given == {tensor.name: tensor.to_list() for tensor in case.inputs}:
                self._answer(200, {"model_name": PACKAGE.manifest.name, "outputs": [_output(t) for t in case.outputs]})
                return
        self._refuse(400, "E-INPUT", f"unknown inputs {sorted(given)}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        sys.stderr.write(format % args + "\n")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._answer(
            status, {"error": message, "message": message, "error_code": code, "detail": {}, "request_id": "r"}
        )

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _metadata(spec: Any) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype, "shape": [d if isinstance(d, int) else -1 for d in spec.shape]}


def _output(tensor: Any) -> dict[str, Any]:
    shift = 0.5 if MODE == "wrong" and tensor.dtype.startswith("FP") else 0
    data = [value + shift if shift else value for value in tensor.to_list()]
    return {"name": tensor.name, "shape": list(tensor.shape), "datatype": tensor.dtype, "data": data}


def _listen(port: int) -> None:
    server = Server(os.environ["DRAY_HOST"], port)
    SERVERS.append(server)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()


def _probe(host: str, port: int) -> None:
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError:
        sys.exit(f"E-PORT-IN-USE port {port} of {host} is in use")
    finally:
        probe.close()


def main() -> None:
    sys.stderr.write(f"fake runtime, mode {MODE}\n")
    if MODE == "crash":
        sys.stderr.write("ImportError: no such thing\n")
        sys.exit(3)
    standby = os.environ.get("DRAY_STANDBY_PORT")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: MODE != "stubborn" and ended.set())
    signal.signal(signal.SIGUSR1, lambda *_: _listen(int(os.environ["DRAY_PORT"])))
    if not standby:
        _probe(os.environ["DRAY_HOST"], int(os.environ["DRAY_PORT"]))
    _listen(int(standby or os.environ["DRAY_PORT"]))
    while not ended.wait(0.05):
        pass
    for server in SERVERS:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    SERVERS: list[Server] = []
    PACKAGE: VerifiedPackage = read_package(Path(os.environ["DRAY_PACKAGES"]))
    main()
