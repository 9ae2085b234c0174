"""A real registry on a free loopback port: Debian's ``docker-registry``, with a password and TLS where asked for."""

import base64
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.absent import absent
from tests.support.servers import free_port

PROGRAM = "docker-registry"
USER, PASSWORD = "ada", "s3cret-registry"
# bcrypt of PASSWORD, the only form that the registry takes.
HTPASSWD = f"{USER}:$2y$05$a3S.96vDr8FHTusov47xOOUe4y5.9OW4ZcIlA5i0go1.FtwqwXWHK\n"
START_S = 20


@dataclass(frozen=True)
class RegistryServer:
    """A registry that runs.

    Attributes:
        host: As image references name it.
        ca: The certificate that it can be trusted by, where it has TLS.
    """

    host: str
    folder: Path
    ca: Path | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{self.host}"

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository without a password."""
        answer = httpx.get(f"{self.url}/v2/{repository}/tags/list", timeout=10)
        return list(answer.json().get("tags") or []) if answer.status_code == 200 else []


@contextmanager
def running_registry(folder: Path, *, password: bool = False, tls: bool = False) -> Iterator[RegistryServer]:
    """A registry whose storage lies in ``folder``; ended at the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    ca = make_certificate(folder) if tls else None
    (folder / "config.yml").write_text(_configuration(folder, port, password=password, ca=ca))
    with (folder / "log").open("wb") as log:
        try:
            process = subprocess.Popen([PROGRAM, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        except FileNotFoundError:
            absent(f"{PROGRAM} is not installed here")
    try:
        _wait(process, port, folder, ca)
        yield RegistryServer(f"localhost:{port}" if tls else f"127.0.0.1:{port}", folder, ca)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryServer]:
    """An empty registry that anybody may write to."""
    with running_registry(tmp_path / "registry") as server:
        yield server


def make_certificate(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Path:
    """A certificate for localhost, or other names, signed by itself; the key beside it."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", f"subjectAltName={names}",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return certificate


def _configuration(folder: Path, port: int, *, password: bool, ca: Path | None) -> str:
    lines = [
        "version: 0.1",
        "log: {level: warn}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: 127.0.0.1:{port}",
        "  secret: of-a-test",
    ]
    if ca:
        lines.append(f"  tls: {{certificate: {ca}, key: {folder / 'tls.key'}}}")
    if password:
        (folder / "htpasswd").write_text(HTPASSWD)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder / 'htpasswd'}}}}}")
    return "\n".join(lines) + "\n"


def _wait(process: "subprocess.Popen[bytes]", port: int, folder: Path, ca: Path | None) -> None:
    url = f"{'https' if ca else 'http'}://localhost:{port}/v2/"
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else False
    deadline = time.monotonic() + START_S
    with httpx.Client(verify=verify, trust_env=False, timeout=5) as client:
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the registry does not start:\n{(folder / 'log').read_text()[-2000:]}")
            try:
                client.get(url)
                return
            except httpx.TransportError:
                time.sleep(0.03)


def docker_login(folder: Path, host: str) -> None:
    """What ``docker login`` leaves in its configuration's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
