"""How uvicorn is set up."""

from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from runtime.routes.serving import Serving
from runtime.server.hot_routes import HotRoutes
from runtime.server.sockets import BACKLOG

# Longer than the idle time of the usual load balancers (Azure: 4 minutes at layer 4, nginx: 60 s to an upstream), so
# that the side that sends requests is the one that closes.
_KEEP_ALIVE_S: Final = 75


def uvicorn_config(app: ASGIApp, serving: Serving, routes: HotRoutes) -> uvicorn.Config:
    """The configuration of a server of ``app``; uvloop, httptools and the fast path where they are installed."""
    settings = serving.settings
    return uvicorn.Config(
        app,
        http=_protocol(serving, routes),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        ssl_certfile=str(settings.tls_cert_file) if settings.tls_cert_file else None,
        ssl_keyfile=str(settings.tls_key_file) if settings.tls_key_file else None,
    )


def _protocol(serving: Serving, routes: HotRoutes) -> Any:
    try:
        from runtime.server.fast_path import FastProtocol
    except ImportError:  # no httptools
        return "h11"

    class Protocol(FastProtocol):
        """One connection to this server."""

    Protocol.serving, Protocol.routes = serving, routes
    return Protocol
