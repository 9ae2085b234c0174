"""The proxy that answers for a workload, and what it makes of answers."""

import json
import ssl
import struct
import sys
from pathlib import Path

import httpx
import pytest

from targets.rehearsal.addresses import Addresses
from targets.rehearsal.tamper import TamperedRunner
from targets.rehearsal.workload import Workload
from targets.rehearsal.wrong_numbers import tampered
from tests.support.fake_runner import FakeRunner
from tests.support.stand_in_server import certificates

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({"predictions": [1, 0.5, "cat", True, None]}, {"predictions": [2, 1.75, "not cat", False, None]}),
        ([1, 2], [2, 3]),
        ({"predictions": [{"label": 1, "shape": 2}]}, {"predictions": [{"label": 2, "shape": 3}]}),
        (
            {"model_name": "m", "outputs": [{"name": "o", "datatype": "FP32", "shape": [1], "data": [0.5]}]},
            {"model_name": "m", "outputs": [{"name": "o", "datatype": "FP32", "shape": [1], "data": [1.75]}]},
        ),
        ({"error": "no", "code": 3}, {"error": "no", "code": 3}),
    ],
)
def test_answers_get_other_numbers_in_the_same_shape(right: object, wrong: object) -> None:
    assert json.loads(tampered(json.dumps(right).encode(), {})) == wrong


def test_binary_tensors_get_other_numbers_and_keep_their_size() -> None:
    sizes = {"FP32": 8, "INT64": 8, "BYTES": 5}
    outputs = [
        {"name": kind, "datatype": kind, "parameters": {"binary_data_size": size}} for kind, size in sizes.items()
    ]
    header = json.dumps({"outputs": outputs}).encode()
    content = struct.pack("<2fq5s", 0.5, -1.0, 2**63 - 1, b"\x01\x00\x00\x00x")
    changed = tampered(header + content, {"inference-header-content-length": str(len(header))})
    assert changed[: len(header)] == header
    assert struct.unpack("<2fq5s", changed[len(header) :]) == (1.75, -0.5, 2**63 - 1, b"\x01\x00\x00\x00x")


def test_what_is_no_json_is_left_as_it_is() -> None:
    assert tampered(b"plain", {}) == b"plain"


@linux
def test_the_proxy_speaks_tls_where_the_workload_does(tmp_path: Path) -> None:
    ca, certificate, key = certificates(tmp_path)
    files = {"/tls/cert": certificate.read_bytes(), "/tls/key": key.read_bytes()}
    environment = {"DRAY_TLS_CERT_FILE": "/tls/cert", "DRAY_TLS_KEY_FILE": "/tls/key"}
    addresses, secure = Addresses(network="127.76"), _SecureRunner(certificate, key)
    runner = TamperedRunner(secure, addresses, "wrong")
    runner.start(Workload(id="a", image="x", address="127.0.0.1", ports=(18443,), environment=environment, files=files))
    try:
        with httpx.Client(verify=ssl.create_default_context(cafile=str(ca))) as client:
            answer = client.post("https://127.0.0.1:18443/v2/models/m/infer", json={})
    finally:
        runner.remove("a")
    assert answer.json()["outputs"][0]["data"] == [4]


class _SecureRunner(FakeRunner):
    """Its workloads serve TLS."""

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    def start(self, workload: Workload) -> None:
        super().start(workload)
        for server in self.runs[workload.id].servers:
            server.socket = self._context.wrap_socket(server.socket, server_side=True)
