"""A pod engine for tests: Podman with storage, settings and network of the tests' own, none of which outlives them.

Its pods have this machine's processor and kernel, and a network namespace of their own in the place of "the host's":
what a pod with the host's network listens on then disturbs nobody, and nobody's ports disturb it.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.absent import absent

_TOOLS = ("podman", "runc", "conmon", "catatonit", "ip", "unshare", "nsenter")
_OWN = "/tmp/dray-podman-"  # not the folder for temporary files, whose path may be too long for a socket's
# The limits that Podman would set by itself are more than some machines allow a container to have.
_SETTINGS = """\
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
[network]
network_config_dir = "{folder}/networks"
"""


@dataclass(frozen=True)
class Podman:
    """Podman, and a network namespace that stands for its machine's.

    Attributes:
        network: A process that holds the namespace.
    """

    folder: Path
    driver: str
    network: int

    def run(self, *arguments: str | Path, input: str | None = None, timeout_s: float = 90) -> str:  # noqa: A002
        """What it prints; an exit status other than 0 fails the test."""
        roots = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", self.driver)
        return self.inside("podman", *roots, "--runtime", "runc", *arguments, input=input, timeout_s=timeout_s)

    def inspect(self, kind: str, name: str) -> Mapping[str, Any]:
        """What it says of a pod, a container or an image."""
        found: Any = json.loads(self.run(kind, "inspect", name))
        return dict(found[0]) if isinstance(found, list) else dict(found)

    def inside(self, *argv: str | Path, input: str | None = None, timeout_s: float = 60) -> str:  # noqa: A002
        """Run a program in the network of the pods."""
        # Podman lets systemd time health checks; where there is one, it would ask for curl in the image (see the test).
        settings = {"CONTAINERS_CONF": f"{self.folder}/containers.conf", "DISABLE_HC_SYSTEMD": "true"}
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{self.network}/ns/net", "--", *map(str, argv)],
            env={**os.environ, **settings},
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stderr[-2000:]}{done.stdout[-1000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    """Podman with nothing in it; all that it runs ends with the module's tests."""
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        absent(f"{', '.join(missing)} to run a pod is not installed here")
    if os.geteuid() != 0:
        absent("only root can run a pod with limits")
    folder = Path(tempfile.mkdtemp(prefix=Path(_OWN).name, dir=Path(_OWN).parent))
    (folder / "containers.conf").write_text(_SETTINGS.format(folder=folder))
    argv = ["unshare", "--net", "--", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as network:
        try:
            assert network.stdout is not None
            if network.stdout.readline() != "up\n":
                absent("no network namespace can be made for a pod")
            made = _with_driver(folder, network.pid)
            yield made
            _end(made)
        finally:
            network.kill()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def bridging_podman(podman: Podman) -> Podman:
    """Podman where pods can have a network of their own."""
    if shutil.which("iptables") is None:
        absent("iptables to give a pod a network is not installed here")
    try:
        podman.inside("iptables", "--table", "nat", "--list-rules")
    except AssertionError as error:
        absent(f"a pod can have no network of its own here: {error}")
    return podman


def _with_driver(folder: Path, network: int) -> Podman:
    """Layers are mounted where the kernel does that, else copied."""
    made, why = [Podman(folder, driver, network) for driver in ("overlay", "vfs")], ""
    for podman in made:
        try:
            podman.run("info")
            return podman
        except AssertionError as error:
            why = str(error)
            shutil.rmtree(folder / "root", ignore_errors=True)
    return absent(f"Podman does not work here: {why}")


def _end(podman: Podman) -> None:
    podman.run("pod", "rm", "--all", "--force", "--time", "1")
    podman.run("rm", "--all", "--force", "--time", "1")
    # Files of layers may be those of other users, and mounts are undone by who made them.
    podman.run("rmi", "--all", "--force")
    podman.run("volume", "rm", "--all", "--force")
