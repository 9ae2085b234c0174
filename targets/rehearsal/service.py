"""The process of a stand-in: the cloud's API over HTTPS and a registry, both on loopback, until nobody needs them.

It ends with everything that it started: when its last deployment has gone and nobody asks any more, when it is told to,
on SIGTERM. What a killed one leaves, the next command that opens a rehearsal ends (``targets.rehearsal.opening``).
"""

import asyncio
import importlib
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from packager.core.extras import installed_version
from packager.core.image import Platform
from targets.kit.engine.process import ProcessIdentity, RuntimeProcess
from targets.rehearsal.blobs import BlobStore
from targets.rehearsal.certificates import write_certificates
from targets.rehearsal.front import Counted, Front
from targets.rehearsal.layout import FORM, StageFacts, StageFolder
from targets.rehearsal.leftovers import end_workloads, remove_folder
from targets.rehearsal.life import Life
from targets.rehearsal.registry import registry_app
from targets.rehearsal.runners import Engine, StageRunner, find_engine
from targets.rehearsal.world import Faults, World

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Api:
    """Where the API of a cloud is, each as ``module:name``.

    Attributes:
        create_app: A function of a ``World`` that makes an ASGI application.
        faults: What can go wrong, by name, in words.
        platform: What the cloud runs, whatever this machine is; None for one of the tests, which runs what is there.
    """

    create_app: str
    faults: str
    platform: Platform | None = None

    @classmethod
    def of_module(cls, module: str) -> "Api":
        """Both in one module, by their usual names."""
        return cls(f"{module}:create_app", f"{module}:FAULTS")


_KUBERNETES: Final = Api(
    "targets.rehearsal.kubernetes.app:create_app",
    "targets.rehearsal.kubernetes.faults:FAULTS",
    Platform("linux", "amd64"),
)
APIS: Final[Mapping[str, Api]] = {
    "aci": Api(
        "targets.rehearsal.arm.app:create_app", "targets.rehearsal.arm.faults:FAULTS", Platform("linux", "amd64")
    ),
    "aks": _KUBERNETES,
    "fpga": _KUBERNETES,
    "iot-edge": Api("targets.rehearsal.iothub.app:create_app", "targets.rehearsal.iothub.faults:FAULTS"),
}
_PORTS: Final = range(26000, 32000)
_LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 128
_LOOK_S: Final = 0.25
_START_LOOK_S: Final = 0.01
_GRACE_S: Final = 2


def run(name: str, folder: StageFolder, api: str | None = None) -> None:
    """Stand in for a cloud until the end; the folder goes with it.

    Args:
        api: A module with ``create_app`` and ``FAULTS``; None for the one that the target's name stands for.
    """
    chosen = Api.of_module(api) if api else APIS[name]
    engine = find_engine(chosen.platform)
    # Not by asyncio.run, which waits for threads: one may wait for an image for long.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_serve(name, folder, chosen, engine))
    finally:
        end_workloads(folder, engine.host)
    # Not after an error: its words are in the log, for the command that waits, and the next one clears the rest.
    remove_folder(folder)


async def _serve(name: str, folder: StageFolder, api: Api, engine: Engine) -> None:
    write_certificates(folder.ca_file, folder.certificate, folder.key)
    # The registry stands in the names of images, and so in plans: two of the same hour should be the same.
    api_socket, registry_socket = _listener(), _listener(usual=_usual_port(folder))
    facts = _facts(name, engine, api_socket, registry_socket)
    store, faults, token = BlobStore(folder.blobs), Faults(_named(api.faults)), folder.token()
    life = Life(alive=lambda identity: RuntimeProcess(identity, folder.path, folder.log).alive())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.end)
    runner = StageRunner(folder, store, facts.registry, token, engine, platform=api.platform)
    app = _named(api.create_app)(World(token, runner, faults, facts.registry, life.hold, folder.path))
    shown = facts.model_dump(mode="json", include={"form", "name", "dray", "runs", "why"})
    door = _server(Counted(Front(app, life, faults, token, shown), life), folder)
    registry = _server(Counted(registry_app(store, token), life), None)
    try:
        await _until_over(life, facts, folder, {door: api_socket, registry: registry_socket})
    finally:
        runner.close()


async def _until_over(
    life: Life, facts: StageFacts, folder: StageFolder, servers: "Mapping[uvicorn.Server, socket.socket]"
) -> None:
    """Serve, say so once all listen, and return when nobody needs it any more or a server ended."""
    tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers.items()]
    announced = False
    while not life.over() and not any(task.done() for task in tasks):
        if not announced and all(server.started for server in servers):
            folder.write_facts(facts)
            announced = True
        await asyncio.sleep(_LOOK_S if announced else _START_LOOK_S)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*tasks)


def _named(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _facts(name: str, engine: Engine, api: socket.socket, registry: socket.socket) -> StageFacts:
    own = psutil.Process()
    return StageFacts(
        form=FORM,
        name=name,
        dray=installed_version("dray") or "",
        process=ProcessIdentity(pid=own.pid, created=own.create_time()),
        api=f"https://{_LOOPBACK}:{api.getsockname()[1]}",
        registry=f"{_LOOPBACK}:{registry.getsockname()[1]}",
        runs="containers" if engine.host else "processes",
        engine=engine.host.url if engine.host else "",
        why=engine.why,
    )


def _listener(*, usual: int = 0) -> socket.socket:
    try:
        return socket.create_server((_LOOPBACK, usual), backlog=_BACKLOG)
    except OSError:
        return socket.create_server((_LOOPBACK, 0), backlog=_BACKLOG)


def _usual_port(folder: StageFolder) -> int:
    """One that is the folder's own as long as nobody else has it; below those that systems give away."""
    return _PORTS[int(folder.id, 16) % len(_PORTS)]


def _server(app: "ASGIApp", tls: StageFolder | None) -> "uvicorn.Server":
    import uvicorn

    class Server(uvicorn.Server):
        """Without signal handlers of its own: there are two of them, and one end."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return Server(config)
