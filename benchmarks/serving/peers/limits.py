"""What no server of a model can pass: servers of a constant, and ONNX Runtime alone."""

import json
import shutil

from benchmarks.serving.bodies import Request
from benchmarks.serving.cells import Cell, Encoding
from benchmarks.serving.peers.base import SERVERS, Launch, Peer, PeerUnavailable, Place, infer_json
from benchmarks.serving.subjects import Subject


class _Constant(Peer):
    kind = "limit"
    mark = "(a constant)"

    def takes(self, cell: Cell) -> bool:
        """One model is enough: its answer is written down beforehand."""
        return cell.model == "logreg" and super().takes(cell)

    def request(self, subject: Subject, encoding: Encoding) -> Request:
        """What the others are asked."""
        return infer_json(subject, "model")


class Nginx(_Constant):
    """nginx that returns a constant."""

    name = "nginx"
    note = "one worker; throws the request's body away"

    def prepare(self, place: Place) -> Launch:
        """A configuration in which every path is in the peer's folder."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise PeerUnavailable("nginx is not installed (Debian: nginx-light)")
        body = constant_answer(place.subject).decode().replace("'", "\\'")
        paths = "\n".join(
            f"  {name}_temp_path {place.folder / name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (place.folder / "nginx.conf").write_text(f"""
daemon off;
worker_processes 1;
pid {place.folder / "pid"};
error_log stderr;
events {{ worker_connections 256; }}
http {{
{paths}
  access_log off;
  keepalive_requests 1000000000;
  server {{
    listen 127.0.0.1:{place.port};
    location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
""")
        return Launch((program, "-p", str(place.folder), "-e", "stderr", "-c", str(place.folder / "nginx.conf")))


class Uvicorn(_Constant):
    """uvicorn under the smallest application."""

    name = "uvicorn"
    requirements = ("uvicorn[standard]==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
    note = "uvloop and httptools; reads the request's body"

    def prepare(self, place: Place) -> Launch:
        """The constant in a file."""
        constant = place.folder / "constant"
        constant.write_bytes(constant_answer(place.subject))
        return Launch(
            (str(place.python), str(SERVERS / "hello.py")), {**place.variables(), "BENCH_CONSTANT": str(constant)}
        )


def constant_answer(subject: Subject) -> bytes:
    """The right answer to the benchmark's request, in the Open Inference Protocol."""
    names = {"float32": "FP32", "float64": "FP64", "int64": "INT64"}
    outputs = [
        {"name": name, "shape": list(value.shape), "datatype": names[value.dtype.name], "data": value.ravel().tolist()}
        for name, value in subject.outputs.items()
    ]
    return json.dumps({"model_name": subject.name, "model_version": "1", "outputs": outputs}).encode()
