"""A stand-in's API on real TLS in this process."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from targets.rehearsal.certificates import write_certificates
from targets.rehearsal.workload import Runner
from targets.rehearsal.world import Faults, World

TOKEN = "t0ken-of-a-rehearsal"


@contextmanager
def serving_stand_in(
    folder: Path,
    create_app: Callable[[World], Any],
    faults: Faults,
    runner: Runner,
    held: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> Iterator[tuple[str, Path]]:
    """An API over a runner; its URL, and its authority.

    Args:
        options: Of the server.
    """
    ca, certificate, key = certificates(folder)
    world = World(token=TOKEN, runner=runner, faults=faults, registry="127.0.0.1:5000", held=held, folder=folder)
    config = uvicorn.Config(
        create_app(world), host="127.0.0.1", port=0, ssl_certfile=str(certificate), ssl_keyfile=str(key),
        access_log=False, **{"log_level": "critical", "timeout_graceful_shutdown": 0, **options},
    )  # fmt: skip
    with _serving(uvicorn.Server(config)) as port:
        yield f"https://127.0.0.1:{port}", ca


@contextmanager
def _serving(server: uvicorn.Server) -> Iterator[int]:
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server)), daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(15)


async def _serve(server: uvicorn.Server) -> None:
    await server.serve()
    # A client that holds an answer it has not read keeps its connection.
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)


def wait_until(true: Callable[[], object], *, timeout_s: float = 15) -> None:
    """Raises AssertionError: it did not become true."""
    waited = threading.Event()
    for _ in range(int(timeout_s / 0.02)):
        if true():
            return
        waited.wait(0.02)
    raise AssertionError("did not become true in time")


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of its with the key."""
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    write_certificates(*paths)
    return paths
