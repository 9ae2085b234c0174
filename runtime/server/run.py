"""``python -m runtime`` from settings to exit status."""

import logging
import os
import ssl
import sys
from typing import Final

from runtime.contract.errors import DrayError
from runtime.errors import AddressRefused, PortInUse
from runtime.server.sockets import listen_alone
from runtime.settings import SettingInvalid, Settings, read_settings
from runtime.telemetry import configure_logging

logger = logging.getLogger(__name__)

USAGE: Final = 2
DEPLOYMENT: Final = 5
INTERRUPTED: Final = 130
_EXIT: Final = {SettingInvalid: USAGE, PortInUse: DEPLOYMENT, AddressRefused: DEPLOYMENT}


def main() -> int:
    """Serve what the environment names until told to stop; the exit status."""
    try:
        settings, warnings = read_settings()
        configure_logging(settings.log_level)
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
    port = settings.standby_port if settings.standby_port is not None else settings.port
    listeners = listen_alone(settings.host, port)
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
    Server(config, serving, listeners, routes if settings.fast_path else None).run()
    logger.info("stopped")


def leave(status: int) -> None:
    """End the process without waiting for threads that load or run a model."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(status)
