"""The process as others see it: start, refusals to start, end."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from runtime.contract.certificate import CERTIFICATE_NAME, Certificate
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, content_digest
from runtime.contract.package import hash_content
from runtime.contract.tensors import TensorFile, dump_tensor, load_tensor
from tests.support.packages import make_package
from tests.support.servers import free_port, infer_body, run_to_end, running_server
from tests.support.slow_model import slow_model

INFER = "/v2/models/iris/infer"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("server") / "iris").root


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def one_line(finished: "subprocess.CompletedProcess[str]") -> str:
    (line,) = finished.stderr.splitlines()
    return line


# --- serving


def test_ready_answers_and_ends_with_0(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server:
        assert server.readiness()["addresses"] == [f"127.0.0.1:{server.port}"]
        assert httpx.post(server.url + INFER, json=infer_body([[1, 2, 3, 4]])).status_code == 200
        assert server.terminate() == 0
    assert all(isinstance(json.loads(line), dict) for line in server.stderr().splitlines())


def test_interrupt_ends_it_too(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server:
        server.signal(signal.SIGINT)
        assert server.process.wait(timeout=30) == 0
    assert "Traceback" not in server.stderr()


def test_listens_on_ipv6(package: Path, log: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running_server(package, log=log, until=(), DRAY_HOST="::1") as server:
        url = f"http://[::1]:{server.port}/readyz"
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            assert client.get(url).json()["addresses"] == [f"[::1]:{server.port}"]


def test_what_is_not_http_gets_the_error_object_too(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server, socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = raw.makefile("rb").read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["error_code"] == "E-INPUT"


def test_settings_of_kubernetes_are_warned_of_and_it_serves(package: Path, log: Path) -> None:
    injected = {"DRAY_SERVICE_HOST": "10.0.0.1", "DRAY_PROT": "1"}
    with running_server(package, log=log, **injected) as server:
        assert "unknown setting DRAY_SERVICE_HOST is ignored" in server.stderr()
        assert "did you mean DRAY_PORT?" in server.stderr()


def test_serves_https_with_a_certificate(package: Path, log: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = [
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    alternative = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, "req", "-x509", *made, *alternative], check=True, capture_output=True)
    files = {"DRAY_TLS_CERT_FILE": str(cert), "DRAY_TLS_KEY_FILE": str(key)}
    with running_server(package, log=log, until=(), **files) as server:
        trusted = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(cert)), retries=10)
        with httpx.Client(transport=trusted) as client:
            assert client.get(f"https://127.0.0.1:{server.port}/livez").json() == {"live": True}
        assert server.terminate() == 0


# --- packages that must not be served


def test_damaged_package_stays_live_and_says_why(package: Path, log: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(package, tmp_path / "damaged")
    data = bytearray((damaged / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "model.onnx").write_bytes(bytes(data))
    with running_server(damaged, log=log, until=("failed",)) as server:
        response = httpx.get(f"{server.url}/readyz")
        assert (response.status_code, response.json()["error_code"]) == (503, "E-PACKAGE-DIGEST")
        assert "changed: model.onnx" in response.json()["error"]
        assert httpx.get(f"{server.url}/livez").status_code == 200
        assert server.terminate() == 0


def corrupt_answers(root: Path) -> None:
    """Change an expected answer, and every digest and seal with it."""
    path = root / "test_data_set_0" / "output_1.pb"
    tensor = load_tensor(path.read_bytes())
    values = np.frombuffer(bytes(tensor.values), "<f4").copy()
    values[1] += 0.25
    path.write_bytes(dump_tensor(TensorFile(tensor.name, tensor.dtype, tensor.shape, values.tobytes())))
    manifest = ModelManifest.model_validate_json((root / MANIFEST_NAME).read_bytes())
    files = {name: sha256 for name, sha256 in hash_content(root).items() if name != MANIFEST_NAME}
    (root / MANIFEST_NAME).write_bytes(manifest.model_copy(update={"files": files}).to_bytes())
    certificate = Certificate.model_validate_json((root / CERTIFICATE_NAME).read_bytes())
    digest = content_digest(hash_content(root))
    (root / CERTIFICATE_NAME).write_bytes(certificate.model_copy(update={"digest": digest}).sealed().to_bytes())


def test_corrupted_answers_with_fixed_digests_are_found_by_the_self_test(
    package: Path, log: Path, tmp_path: Path
) -> None:
    corrupted = shutil.copytree(package, tmp_path / "corrupted")
    corrupt_answers(corrupted)
    with running_server(corrupted, log=log, until=("ready", "failed")) as server:
        body = server.readiness()
    assert (body["state"], body["error_code"]) == ("failed", "E-SELF-TEST")
    assert "test_data_set_0: output 'probabilities' at [0, 1] is " in body["error"]
    assert "off by 0.25" in body["error"]


# --- refusals to start


def test_bad_setting_stops_the_start_with_one_line(package: Path) -> None:
    finished = run_to_end(package, DRAY_PORT="eighty")
    assert finished.returncode == 2
    assert one_line(finished).startswith("E-SETTING DRAY_PORT is 'eighty', allowed: a whole number from 0 to 65535 (")


def test_port_in_use_stops_the_start_before_anything_is_loaded(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server:
        finished = run_to_end(package, DRAY_PORT=str(server.port))
        assert finished.returncode == 5
        assert one_line(finished) == (
            f"E-PORT-IN-USE port {server.port} of 127.0.0.1 is in use"
            " (choose another DRAY_PORT, or stop what listens there)"
        )
        assert server.readiness()["state"] == "ready"


def test_address_of_another_machine_is_refused(package: Path) -> None:
    finished = run_to_end(package, DRAY_HOST="192.0.2.1", DRAY_PORT=str(free_port()))
    assert finished.returncode == 5
    assert one_line(finished).startswith("E-ADDRESS cannot listen on port ")


def test_host_that_does_not_resolve_is_refused(package: Path) -> None:
    finished = run_to_end(package, DRAY_HOST="nowhere.invalid", DRAY_PORT=str(free_port()))
    assert finished.returncode == 5
    assert one_line(finished).startswith("E-ADDRESS cannot listen on 'nowhere.invalid'")


def test_certificate_that_is_none_is_refused(package: Path, tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("not a certificate")
    files = {"DRAY_TLS_CERT_FILE": str(tmp_path / "pem"), "DRAY_TLS_KEY_FILE": str(tmp_path / "pem")}
    finished = run_to_end(package, DRAY_PORT=str(free_port()), **files)
    assert finished.returncode == 2
    assert one_line(finished).startswith("E-SETTING the certificate ")


def test_empty_keys_file_is_refused(package: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    finished = run_to_end(package, DRAY_PORT=str(free_port()), DRAY_API_KEYS_FILE=str(tmp_path / "keys"))
    assert finished.returncode == 2
    assert "holds no key" in one_line(finished)


# --- the end, with a request in flight


def ask_slow(url: str, turns: int) -> httpx.Response:
    return httpx.post(f"{url}/v2/models/slow/infer", json=infer_body([[turns, 0]], name="x"), timeout=60)


def test_request_in_flight_is_answered_before_the_end(tmp_path: Path, log: Path) -> None:
    slow = make_package(tmp_path / "slow", slow_model(), name="slow", inputs={"x": np.zeros((5, 2), "f4")}).root
    with running_server(slow, log=log) as server, ThreadPoolExecutor(1) as client:
        turns_a_second = 300 / max(0.001, ask_slow(server.url, 300).elapsed.total_seconds())
        answer = client.submit(ask_slow, server.url, int(2 * turns_a_second))
        time.sleep(0.5)
        assert not answer.done()
        assert server.terminate() == 0
    assert (answer.result().status_code, answer.result().headers["connection"]) == (200, "close")


def test_idle_connection_does_not_hold_up_the_end(package: Path, log: Path) -> None:
    with running_server(package, log=log) as server, httpx.Client() as client:
        assert client.get(f"{server.url}/livez").status_code == 200
        assert server.terminate(timeout_s=15) == 0


def test_stop_while_loading_does_not_wait(package: Path, log: Path) -> None:
    with running_server(package, log=log, until=("starting", "ready")) as server:
        assert server.terminate() == 0
