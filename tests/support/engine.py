"""A Docker engine for tests: the one that answers here, else one of the tests' own that ends with them.

The own one touches nothing of the machine's: data, socket and process id lie in a temporary folder, its network is a
bridge of its own, and it writes no firewall rules, so that several can run side by side.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.support.absent import absent

START_S = 30
OWN = "/tmp/dray-engine-"  # not the folder for temporary files, whose path may be too long for a socket's
_SUBNETS = range(16, 250)


@pytest.fixture(scope="session")
def engine_host() -> Iterator[str]:
    """``DOCKER_HOST`` of an engine: the machine's, or one of this worker's own."""
    if (host := os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")) and _answers(host):
        yield host
        return
    if reason := _lacking():
        absent(reason)
    facts = _start()
    try:
        yield facts["host"]
    finally:
        _stop(facts)


@pytest.fixture
def engine(engine_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the engine, which this process and its children now find as theirs, without anybody's credentials.

    Deployments of tests have the same names, so on an engine that several workers share one has its turn after another.
    """
    import docker

    monkeypatch.setenv("DOCKER_HOST", engine_host)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))
    with FileLock(_turn(engine_host)):
        client = docker.DockerClient(base_url=engine_host, timeout=60)
        yield client
        client.close()


def _turn(host: str) -> Path:
    """A lock that all who use an engine share; that of an own engine goes with it."""
    if host.startswith(f"unix://{OWN}"):
        return Path(host.removeprefix("unix://")).with_name("turn.lock")
    return Path(tempfile.gettempdir()) / f"dray-tests-{sha256(host.encode()).hexdigest()[:16]}.lock"


def _start() -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix=Path(OWN).name, dir=Path(OWN).parent))
    bridge = _add_bridge()
    host = f"unix://{folder}/engine.sock"
    argv = [
        "dockerd", "--host", host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec",
        "--pidfile", f"{folder}/engine.pid", "--bridge", bridge, "--iptables=false", "--ip6tables=false",
        "--config-file", f"{folder}/none.json", "--shutdown-timeout", "5",
    ]  # fmt: skip
    (folder / "none.json").write_text("{}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
    facts = {"host": host, "pid": process.pid, "folder": str(folder), "bridge": bridge}
    deadline = time.monotonic() + START_S
    while not _answers(host):
        if process.poll() is not None or time.monotonic() > deadline:
            words = (folder / "log").read_text()[-2000:]
            _stop(facts)
            absent(f"a Docker engine does not start here: {words}")
        time.sleep(0.1)
    process.returncode = 0  # it is ended and waited for by its id, which is all that is kept
    return facts


def _stop(facts: dict[str, Any]) -> None:
    try:
        os.kill(facts["pid"], signal.SIGTERM)
        deadline = time.monotonic() + START_S
        while _runs(facts["pid"]):
            if time.monotonic() > deadline:
                os.killpg(facts["pid"], signal.SIGKILL)
                break
            time.sleep(0.05)
    except ProcessLookupError:
        pass
    shutil.rmtree(facts["folder"], ignore_errors=True)
    subprocess.run(["ip", "link", "delete", facts["bridge"]], capture_output=True, timeout=10)


def _runs(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
    except ChildProcessError:
        pass
    return Path(f"/proc/{pid}").exists() and ") Z " not in Path(f"/proc/{pid}/stat").read_text()


def _add_bridge() -> str:
    """A bridge with the first private network that nobody here has."""
    taken = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, timeout=10).stdout
    for number in _SUBNETS:
        name, address = f"dray{number}", f"10.213.{number}."
        if address in taken:
            continue
        # Without an address of its own a bridge takes the lowest of its ports', a new one with each container that
        # comes or goes; the others then answer to the old one, for many seconds, and requests in flight hang.
        argv = ["ip", "link", "add", name, "address", f"02:42:0a:d5:{number:02x}:01", "type", "bridge"]
        made = subprocess.run(argv, capture_output=True, text=True, timeout=10)
        if made.returncode:
            continue  # somebody else took the name just now
        subprocess.run(["ip", "addr", "add", f"{address}1/24", "dev", name], check=True, timeout=10)
        subprocess.run(["ip", "link", "set", name, "up"], check=True, timeout=10)
        return name
    return absent("no network bridge can be made for a Docker engine")


def _answers(host: str) -> bool:
    import docker
    import docker.errors

    if host.startswith("unix://") and not _listens(host.removeprefix("unix://")):
        return False
    try:
        with docker.APIClient(base_url=host, timeout=3) as client:
            return bool(client.ping())
    except docker.errors.DockerException:
        return False


def _lacking() -> str:
    if missing := [tool for tool in ("dockerd", "ip") if shutil.which(tool) is None]:
        return f"no Docker engine answers, and {' and '.join(missing)} to start one is not installed"
    return "" if os.geteuid() == 0 else "no Docker engine answers, and only root can start one"


def _listens(path: str) -> bool:
    """Asked first, because the SDK leaves its socket open where nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
