"""The line that a deployment is asked with, run in a shell."""

import json
import shlex
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from packager.cli.example import asking_line
from packager.core.artifact import ModelPackage
from packager.documents import DeployDocument, SmokeDocument
from tests.support.packages import make_package
from tests.support.registry_server import make_certificate
from tests.support.servers import running_server
from tests.support.workers import wait_until

pytestmark = pytest.mark.needs("curl")


def document(package: ModelPackage, endpoint: str | None, **settings: str) -> DeployDocument:
    return DeployDocument(
        name="iris", target="cloud", state="running", endpoint=endpoint, model="iris", version="1",
        digest=package.digest, package=str(package.root), image=None, created_at="", detail={"settings": settings},
        smoke=SmokeDocument(passed=True, checks=()),
    )  # fmt: skip


def wait_until_ready(url: str, ca: Path) -> None:
    deadline = time.monotonic() + 30
    with httpx.Client(verify=ssl.create_default_context(cafile=ca), trust_env=False) as client:
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(f"{url}/readyz").status_code == 200:
                    return
            time.sleep(0.05)
    raise AssertionError(f"{url} is not ready")


def asked(line: str | None, **environment: str) -> list[str]:
    """The names of the outputs that the answer has."""
    assert line is not None
    done = subprocess.run(
        ["sh", "-c", line], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, timeout=30
    )
    return [output["name"] for output in json.loads(done.stdout)["outputs"]]


def test_line_works_as_it_stands(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one")
    with running_server(package.root, log=tmp_path / "log") as server:
        assert asked(asking_line(document(package, server.url))) == ["label", "probabilities"]


@pytest.mark.parametrize("kind", ["env", "file"])
def test_key_is_shown_by_its_reference_and_stands_in_no_argument(tmp_path: Path, kind: str) -> None:
    package, keys = make_package(tmp_path / "one"), tmp_path / "my keys"
    keys.write_text("# rotated weekly\nfirst-key\nsecond-key\n")
    reference = f"file:{keys}" if kind == "file" else "env:KEYS"
    with running_server(package.root, log=tmp_path / "log", DRAY_API_KEYS_FILE=str(keys)) as server:
        line = asking_line(document(package, server.url, api_keys=reference))

        assert asked(line, KEYS=keys.read_text()) == ["label", "probabilities"]
    assert "first-key" not in (line or "")


def test_certificate_of_ones_own_is_trusted(tmp_path: Path) -> None:
    package, certificate = make_package(tmp_path / "one"), make_certificate(tmp_path)
    tls = {"DRAY_TLS_CERT_FILE": str(certificate), "DRAY_TLS_KEY_FILE": str(tmp_path / "tls.key")}
    with running_server(package.root, log=tmp_path / "log", until=(), **tls) as server:
        url = f"https://127.0.0.1:{server.port}"
        wait_until_ready(url, certificate)
        line = asking_line(document(package, url, tls_cert=f"file:{certificate}"))

        assert asked(line) == ["label", "probabilities"]


def test_certificate_of_another_name_is_asked_by_that_name(tmp_path: Path) -> None:
    package, certificate = make_package(tmp_path / "one"), make_certificate(tmp_path, names="DNS:model.example")
    tls = {"DRAY_TLS_CERT_FILE": str(certificate), "DRAY_TLS_KEY_FILE": str(tmp_path / "tls.key")}
    with running_server(package.root, log=tmp_path / "log", until=(), **tls) as server:
        url = f"https://127.0.0.1:{server.port}"
        line = asking_line(document(package, url, tls_cert=f"file:{certificate}"))
        ask = ["sh", "-c", str(line)]
        wait_until(lambda: b'"outputs"' in subprocess.run(ask, capture_output=True, timeout=30).stdout, timeout_s=30)

        assert asked(line) == ["label", "probabilities"]


def test_there_is_no_line_where_nothing_could_be_asked(tmp_path: Path) -> None:
    package = make_package(tmp_path / "one")

    assert asking_line(document(package, None)) is None
    assert asking_line(document(package, "memory://iris")) is None


def test_what_is_behind_another_service_is_asked_with_dray(tmp_path: Path) -> None:
    served = document(make_package(tmp_path / "one"), "https://hub.example/devices/d/methods?api-version=1")

    *words, value = shlex.split(asking_line(served, rehearsal=True) or "")

    assert words == ["dray", "invoke", "iris", "--rehearse", "-i"]
    tensor, _, rows = value.partition("=")
    assert (tensor, len(json.loads(rows)[0])) == ("X", 4)
