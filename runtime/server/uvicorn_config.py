"""How uvicorn is set up, and its own error answers in dray's form."""

from typing import Any, Final

import orjson
import uvicorn
from starlette.types import ASGIApp

from runtime.errors import InvalidInput
from runtime.routes.answers import error_body
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
        """One connection, with the error object for what is not even HTTP."""

        def send_400_response(self, msg: str) -> None:
            body = orjson.dumps(error_body(InvalidInput(msg.lower().rstrip(".")), None))
            head = (
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
            self.transport.close()

    Protocol.serving, Protocol.routes = serving, routes
    return Protocol
