"""From `docker start` to a model that answers, under the restrictions of the docker target: where the time goes.

    python benchmarks/container_start.py IMAGE [-n 5]

The image must be in the engine (DOCKER_HOST or the current context). Medians of N starts of one container, after one
that is not counted. Needs `dray[docker]`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx

from targets.docker import DockerSettings
from targets.docker.body import PORT, USER
from targets.kit.engine.containers import Container, ContainerEngine
from targets.kit.engine.docker_host import docker_host

NAME = "dray.benchmark-start"


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("image")
    options.add_argument("-n", type=int, default=5)
    given = options.parse_args()
    with ContainerEngine(docker_host()) as engine:
        server = engine.create(NAME, body(given.image))
        empty = engine.create(f"{NAME}-empty", {**body(given.image), "Entrypoint": ["/usr/bin/python3", "-c", "pass"]})
        try:
            runs = [measure(engine, server) for _ in range(given.n + 1)][1:]
            bare = statistics.median(seconds_of_run(engine, empty) for _ in range(3))
        finally:
            engine.remove(server)
            engine.remove(empty)
    print(table(runs, bare))


def body(image: str) -> Mapping[str, Any]:
    """As the target has it, but that a free port is published each time and nothing starts again."""
    settings = DockerSettings(restart="no")
    return {
        "Image": image,
        "User": USER,
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "HostConfig": {
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Tmpfs": {"/tmp": f"rw,noexec,nosuid,nodev,size={settings.tmp_mib}m,mode=1777"},
            "PortBindings": {f"{PORT}/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
        },
    }


def measure(engine: ContainerEngine, container: Container) -> dict[str, float]:
    """Seconds since the start command, by moment."""
    began, clock = time.time(), time.monotonic()
    engine.start(container)
    seen = {"started": time.monotonic() - clock}
    running = engine.container(container.id)
    url = f"http://127.0.0.1:{running.host_port(PORT)}/readyz"
    with httpx.Client(trust_env=False, timeout=2) as client:
        while not answers(client, url):
            time.sleep(0.005)
    seen["ready"] = time.monotonic() - clock
    seen["process"] = since(running.document["State"]["StartedAt"], began)
    for line in engine.lines(container, follow=False):
        entry = json.loads(line) if line.startswith("{") else {}
        for message, key in (("listening", "listening"), ("model ready", "loaded")):
            if entry.get("message") == message and since(entry["time"], began) > 0:
                seen.setdefault(key, since(entry["time"], began))
    engine.stop(container, grace_s=10)
    return seen


def answers(client: httpx.Client, url: str) -> bool:
    """Whether the server says that it is ready."""
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def seconds_of_run(engine: ContainerEngine, container: Container) -> float:
    """How long a Python that does nothing runs, by the engine's clock."""
    engine.start(container)
    while (document := engine.container(container.id).document)["State"]["Running"]:
        time.sleep(0.02)
    return since(document["State"]["FinishedAt"], moment(document["State"]["StartedAt"]))


def since(text: str, began: float) -> float:
    """Seconds from a moment to one of the engine's or the log's."""
    return moment(text) - began


def moment(text: str) -> float:
    """Seconds since 1970; the engine writes nanoseconds, which Python does not read."""
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{fraction or 0}")


def table(runs: Sequence[Mapping[str, float]], bare: float) -> str:
    """Medians, in Markdown."""
    mid = {key: statistics.median(run[key] for run in runs) for key in ("process", "listening", "loaded", "ready")}
    rows = [
        ("engine, until the process begins", mid["process"]),
        ("Python itself (one that does nothing, in and out)", bare),
        ("imports, until it listens", mid["listening"] - mid["process"] - bare),
        ("model loaded, tested and timed", mid["loaded"] - mid["listening"]),
        ("until `/readyz` says so", mid["ready"] - mid["loaded"]),
        ("**start to ready**", mid["ready"]),
    ]
    lines = [f"| {what} | {seconds:.2f} |" for what, seconds in rows]
    return "\n".join(["| stage | s |", "|---|---|", *lines])


if __name__ == "__main__":
    main()
