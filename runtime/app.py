"""The HTTP application: routes, who may call them, and what each error is over HTTP."""

import hmac
import logging
import re
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import getrandbits
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime import errors
from runtime.contract.errors import DrayError, PackageError
from runtime.engine.cpus import cpu_limit
from runtime.engine.queue import Queue
from runtime.engine.repository import Repository
from runtime.routes.answers import Json, error_body
from runtime.routes.azureml import azureml_routes
from runtime.routes.health import OPEN_PAGES, OPEN_PATHS, health_routes
from runtime.routes.metrics import metrics_routes
from runtime.routes.mlflow import mlflow_routes
from runtime.routes.observing import traced
from runtime.routes.oip import oip_routes
from runtime.routes.pages import pages_routes
from runtime.routes.predict_v1 import predict_v1_routes
from runtime.routes.schema import describe_inference
from runtime.routes.serving import Serving
from runtime.routes.triton import triton_routes
from runtime.sampling import open_samples
from runtime.settings import SettingInvalid, Settings
from runtime.telemetry import dialect_of
from runtime.tracing import open_traces

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import SessionSettings

logger = logging.getLogger(__name__)

# The first class that an error is of decides.
_STATUS: Final[Mapping[type[DrayError], int]] = {
    errors.InvalidInput: 400,
    errors.Unauthorised: 401,
    errors.ControlRefused: 403,
    errors.UnknownModel: 404,
    errors.RouteMissing: 404,
    errors.MethodRefused: 405,
    errors.BodyTimeout: 408,
    errors.HeadTimeout: 408,
    errors.BodyTooLarge: 413,
    errors.EncodingRefused: 415,
    errors.RefusedByModel: 422,
    errors.NonFiniteOutput: 422,
    errors.HeadTooLarge: 431,
    errors.ModelNotReady: 503,
    errors.ModelLoadFailed: 503,
    errors.SelfTestFailed: 503,
    errors.CircuitStalled: 503,
    errors.ProviderMissing: 503,
    errors.DuplicateModel: 503,
    PackageError: 503,
    errors.Overloaded: 503,
    errors.RunTimeout: 504,
    errors.MessageTooLarge: 413,
    errors.PoisonMessage: 422,
    errors.PackageRefused: 422,
}
_RETRY_AFTER_S: Final = 1
# What Azure's clients name their requests by.
_CLIENT_ID: Final = b"x-ms-client-request-id"
_MARKS: Final = frozenset({b"x-request-id", _CLIENT_ID, b"connection"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


def create_serving(settings: Settings) -> Serving:
    """The state of a server with these settings; nothing is loaded yet.

    Raises:
        SettingInvalid: The API keys file holds no key, or something that is none; the file of samples cannot be opened.
    """
    threads = threads_of(settings)

    def session_settings() -> "SessionSettings":
        from runtime.engine.session import SessionSettings

        return SessionSettings(
            threads=threads,
            adapt=settings.threads is None,
            max_batch=settings.max_batch,
            providers=settings.providers,
            require=settings.require_providers,
            provider_options=settings.provider_options,
            fallback=settings.fallback,
        )

    repository = Repository(settings.packages, session_settings)
    queue = create_queue(settings)
    keys = read_keys(settings.api_keys_file) if settings.api_keys_file is not None else ()
    samples = open_samples(settings.sample_rate, settings.sample_file)
    # A worker opens its own: what sends them is a thread, which does not outlive a fork.
    traces = open_traces(settings.otlp_endpoint, settings.otlp_protocol) if settings.workers <= 1 else None
    return Serving(settings, repository, queue, keys=keys, samples=samples, traces=traces)


def create_queue(settings: Settings) -> Queue:
    """One worker's share of the places, and its threads."""
    share = -(-settings.max_queue // max(1, settings.workers))
    return Queue(
        limit=share,
        threads=max(2, threads_of(settings)),
        wait_s=settings.max_wait_s,
        timeout_s=settings.request_timeout_s,
    )


def threads_of(settings: Settings) -> int:
    """Threads of ONNX Runtime for one run: as set, or a worker's share of the processors."""
    return settings.threads or max(1, cpu_limit() // max(1, settings.workers))


def create_app(serving: Serving) -> FastAPI:
    """The application over ``serving``, whoever loads its models."""
    app = FastAPI(
        title="dray",
        openapi_url="/openapi.json",
        docs_url=None,  # the usual page loads its scripts from another host
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(pages_routes())
    app.include_router(health_routes(serving))
    # Triton's before the protocol's own: /v2/models/stats is no model named stats.
    for routes in (triton_routes, oip_routes, predict_v1_routes, azureml_routes, mlflow_routes, metrics_routes):
        app.include_router(routes(serving))
    app.add_exception_handler(DrayError, _on_dray_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected)
    app.add_middleware(Gate, serving=serving)
    app.openapi = partial(_openapi, app, serving)  # type: ignore[method-assign]
    return app


def read_keys(path: Path) -> tuple[bytes, ...]:
    """The API keys in a file, one a line; blank lines and lines that begin with ``#`` are left out.

    Raises:
        SettingInvalid: There is none, or a line cannot be one; the line is named, never its text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(f"DRAY_API_KEYS_FILE {str(path)!r} cannot be read: {type(error).__name__}") from error
    keys = []
    for number, line in enumerate(lines, start=1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if not re.fullmatch(r"[!-~]+", key):
            raise SettingInvalid(
                f"line {number} of DRAY_API_KEYS_FILE {str(path)!r} is not a key",
                hint="a key is printable ASCII without spaces; one a line",
            )
        keys.append(key.encode("ascii"))
    if not keys:
        raise SettingInvalid(
            f"DRAY_API_KEYS_FILE {str(path)!r} holds no key",
            hint="write one key a line (two while you change from one to the other), or leave the setting out",
        )
    return tuple(keys)


class Gate:
    """Around every request: its id, the API key, ``connection: close`` while draining, one line in the log."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status, started = 500, time.perf_counter()

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(name, value) for name, value in message["headers"] if name not in _MARKS]
                message["headers"] = own + marks(headers, request_id, draining=self._serving.closing)
            await send(message)

        try:
            if self._admits(scope["path"], headers.get(b"authorization", b"")):
                await self._app(scope, receive, send_marked)
            else:
                await error_response(unauthorised(), request_id)(scope, receive, send_marked)
        finally:
            seconds = time.perf_counter() - started
            self._serving.requests.add(
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=seconds,
                request_id=request_id,
                probe=scope["path"] in OPEN_PATHS,
                trace_id=self._traced(scope, headers, status, seconds),
            )

    def _traced(self, scope: Scope, headers: Mapping[bytes, bytes], status: int, seconds: float) -> str:
        """The id of the trace of an inference request; empty for others, and where none are wanted."""
        dialect, state = dialect_of(scope["path"]), scope["state"]
        if self._serving.traces is None or dialect == "other" or scope["method"] != "POST":
            return ""
        facts = traced(
            scope["path"],
            scope["scheme"],
            status,
            seconds,
            headers=headers,
            dialect=dialect,
            request_id=state["request_id"],
            model=state.get("model"),
            answered=state.get("answered"),
        )
        return self._serving.traces.add(facts)

    def _admits(self, path: str, authorization: bytes) -> bool:
        return path in OPEN_PATHS or path in OPEN_PAGES or admits(self._serving.keys, authorization)


def admits(keys: tuple[bytes, ...], authorization: bytes) -> bool:
    """Whether a header field Authorization carries one of the keys; anything does where there are none."""
    if not keys:
        return True
    scheme, _, token = authorization.partition(b" ")
    # Every key is compared, so that the time tells nothing of which one was near.
    matches = [hmac.compare_digest(token.strip(), key) for key in keys]
    return scheme.lower() == b"bearer" and any(matches)


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The client's own name for its request where that can do no harm, else a new one."""
    own = headers.get(b"x-request-id")
    if own is not None and _REQUEST_ID.fullmatch(text := own.decode("ascii", "replace")):
        return text
    return f"{getrandbits(128):032x}"  # a name, no secret: asking the kernel for each would take as long as a small run


def marks(headers: Mapping[bytes, bytes], request_id: str, *, draining: bool) -> list[tuple[bytes, bytes]]:
    """Header fields that every answer carries, whichever way it was made.

    Args:
        headers: Of the request.
    """
    marked = [(b"x-request-id", request_id.encode("ascii"))]
    client_id = headers.get(_CLIENT_ID)
    if client_id is not None and _REQUEST_ID.fullmatch(client_id.decode("ascii", "replace")):
        marked.append((_CLIENT_ID, client_id))
    if draining:
        marked.append((b"connection", b"close"))
    return marked


def status_of(error: DrayError) -> int:
    """What an error is over HTTP, and in the answer of a direct method."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def error_response(error: DrayError, request_id: str | None) -> Response:
    """The error object with its status."""
    status = status_of(error)
    headers = {"x-request-id": request_id} if request_id else {}
    if status == 503:
        headers["retry-after"] = str(error.detail.get("retry_after_s", _RETRY_AFTER_S))
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Json(error_body(error, request_id), status_code=status, headers=headers)


def unauthorised() -> errors.Unauthorised:
    """The error about a request without a key."""
    hint = "send one of the server's keys as 'Authorization: Bearer KEY'"
    return errors.Unauthorised("the request carries no valid API key", hint=hint)


def unforeseen(request_id: str) -> DrayError:
    """The error about a bug: the log holds the traceback, the client gets its request's id to name it by."""
    return DrayError(
        "the server failed in a way that nobody foresaw",
        hint=f"its log holds the traceback of request {request_id}; please report it",
    )


async def _on_dray_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, DrayError):
        raise error
    return error_response(error, request.state.request_id)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: paths and methods that are not served."""
    if not isinstance(error, HTTPException):
        raise error
    path, method = request.url.path, request.method
    if error.status_code == 404:
        missing = errors.RouteMissing(f"nothing is served at {path!r}", hint="GET /openapi.json lists what is")
        return error_response(missing, request.state.request_id)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        refused = errors.MethodRefused(f"{method} is not served at {path!r}", detail={"allowed": allowed})
        response = error_response(refused, request.state.request_id)
        response.headers["allow"] = allowed
        return response
    body = error_body(errors.ServerError(str(error.detail).lower()), request.state.request_id)
    return Json(body, status_code=error.status_code)


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def _on_unexpected(request: Request, _error: Exception) -> Response:
    """A bug: the server raises on, so that the log has it."""
    return error_response(unforeseen(request.state.request_id), request.state.request_id)


def _openapi(app: FastAPI, serving: Serving) -> dict[str, Any]:
    from fastapi.openapi.utils import get_openapi

    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    return describe_inference(document, serving)
