"""``python -m runtime`` from settings to exit status."""

import logging
import os
import socket
import ssl
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from runtime.contract.errors import DrayError
from runtime.engine.cpus import cpu_limit
from runtime.errors import AddressRefused, PortInUse
from runtime.server.sockets import listen_alone
from runtime.settings import AUTO, SettingInvalid, Settings, read_settings
from runtime.telemetry import configure_logging

if TYPE_CHECKING:
    import uvicorn

    from runtime.routes.serving import Serving
    from runtime.server.hot_routes import HotRoutes

logger = logging.getLogger(__name__)

_CPU: Final = "CPUExecutionProvider"

USAGE: Final = 2
DEPLOYMENT: Final = 5
INTERRUPTED: Final = 130
_EXIT: Final = {SettingInvalid: USAGE, PortInUse: DEPLOYMENT, AddressRefused: DEPLOYMENT}


def main() -> int:
    """Serve what the environment names until told to stop; the exit status."""
    try:
        settings, warnings = read_settings()
        if settings.workers == AUTO:
            settings = replace(settings, workers=cpu_limit())
        configure_logging(settings.log_level, pid=settings.workers > 1)
        for warning in warnings:
            logger.warning("%s", warning)
        serve(settings)
    except DrayError as error:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"{error.code} {error.message}{hint}\n")
        return _EXIT.get(type(error), 1)
    except KeyboardInterrupt:  # before the server took over the signal
        return INTERRUPTED
    return 0


def serve(settings: Settings) -> None:
    """Listen, load, answer, drain.

    Raises:
        PortInUse, AddressRefused: Before anything is loaded.
        SettingInvalid: The TLS files or the API keys cannot be used.
    """
    if settings.edge:
        _check_edge()
    port = settings.standby_port if settings.standby_port is not None else settings.port
    listeners = listen_alone(settings.host, port)
    several = settings.workers > 1
    if several:
        # The supervisor has one thread when it forks. Set before NumPy is imported, which makes a pool otherwise.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported behind the open port: it takes most of the start, and whoever waits sees a listener meanwhile.
    from runtime.app import create_app, create_serving
    from runtime.server.hot_routes import HotRoutes
    from runtime.server.http import Server
    from runtime.server.uvicorn_config import uvicorn_config

    serving = create_serving(settings)
    routes = HotRoutes(serving)
    if settings.fast_path:
        serving.models_changed = routes.refresh
    config = uvicorn_config(create_app(serving), serving, routes)
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise SettingInvalid(
            f"the certificate {str(settings.tls_cert_file)!r} and key {str(settings.tls_key_file)!r} cannot be used:"
            f" {str(error).lower()}",
            hint="DRAY_TLS_CERT_FILE and DRAY_TLS_KEY_FILE are a PEM certificate chain and its unencrypted key",
        ) from error
    filled = routes if settings.fast_path else None
    if several:
        supervise(serving, config, listeners, filled)
    else:
        Server(config, serving, listeners, filled).run()
    logger.info("stopped")


def _check_edge() -> None:
    from runtime.edge.connection import installed

    if not installed():
        raise SettingInvalid(
            "IOTEDGE_WORKLOADURI is set, and azure-iot-device is not installed",
            hint="pip install 'dray[runtime,iot]'; images of dray have it",
        )


def supervise(
    serving: "Serving", config: "uvicorn.Config", listeners: "list[socket.socket]", routes: "HotRoutes | None"
) -> None:
    """Serve with several workers, which share the models where a run uses one thread.

    A session of several threads goes on with one when its process was forked, and says nothing; what other providers
    hold (a CUDA context) does not survive a fork at all.
    """
    from runtime.app import threads_of
    from runtime.server.supervisor import Supervisor
    from runtime.server.worker import Assignment, WorkerServer

    settings = serving.settings

    def run(assignment: Assignment, inherited: list[socket.socket]) -> None:
        WorkerServer(config, serving, inherited, routes, assignment).run()

    loads_itself = threads_of(settings) == 1 and {*settings.providers, *settings.require_providers} <= {_CPU}
    Supervisor(serving, listeners, run, loads_itself=loads_itself).run()


def leave(status: int) -> None:
    """End the process without waiting for threads that load or run a model."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)
