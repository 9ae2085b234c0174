"""One span a request, for OpenTelemetry: made when the answer has gone out, from what is known then.

Nothing of OpenTelemetry is imported here before ``open_traces`` finds that it is wanted and there.
"""

import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from runtime.contract.manifest import ModelManifest

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

_MODEL: Final = re.compile(r"/models/[^/:]+")
_VERSION: Final = re.compile(r"/versions/[^/:]+")
_CURE: Final = "pip install 'dray[otel]', or leave out OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What a span tells of a request.

    Attributes:
        headers: Of the request, by name in lower case.
        manifest: Of the model that was asked; None where none was found.
        rows: Of an answered request.
        ran_ns: When its run of the graph began and ended, since 1970.
    """

    method: str
    path: str
    scheme: str
    status: int
    seconds: float
    headers: Mapping[bytes, bytes]
    dialect: str
    request_id: str
    manifest: ModelManifest | None = None
    rows: int | None = None
    ran_ns: tuple[int, int] | None = None


class Traces:
    """Spans of this process' requests."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("dray")
        self._propagator = TraceContextTextMapPropagator()

    def add(self, traced: Traced) -> str:
        """Tell of a request that has been answered; the trace's id, for the log."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id, set_span_in_context

        ended = time.time_ns()
        carrier = {
            name: traced.headers[name.encode()].decode("latin-1")
            for name in ("traceparent", "tracestate")
            if name.encode() in traced.headers
        }
        route = route_of(traced.path)
        span = self._tracer.start_span(
            f"{traced.method} {route}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=_attributes(traced, route),
            start_time=ended - int(traced.seconds * 1e9),
        )
        if traced.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        if traced.ran_ns is not None and span.is_recording():
            began, done = traced.ran_ns
            run = self._tracer.start_span("run", context=set_span_in_context(span), start_time=began)
            run.end(done)
        span.end(ended)
        return format_trace_id(span.get_span_context().trace_id)

    def close(self, *, timeout_s: float = 2.0) -> None:
        """Send what waits, for so long at most: a collector that does not answer must not hold up the end."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        ending.start()
        ending.join(timeout_s)


def open_traces(endpoint: str | None, protocol: str = "") -> Traces | None:
    """Spans that go where the standard ``OTEL_`` variables say; None where they name no collector, or it cannot be.

    What is missing is warned of and stops nothing: platforms put these variables into every container, and a model
    that answers without traces is better than none.

    Args:
        endpoint: Of the collector, as the environment names it.
        protocol: What it says is spoken there.
    """
    if not endpoint:
        return None
    if protocol not in ("", "http/protobuf"):
        logger.warning("no traces: they are sent as http/protobuf only, and the environment asks for %s", protocol)
        return None
    try:
        missing = find_spec("opentelemetry.sdk.trace") is None
        missing = missing or find_spec("opentelemetry.exporter.otlp.proto.http") is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        logger.warning("no traces: OpenTelemetry is asked for and not installed; %s", _CURE)
        return None
    return Traces(_provider())


def route_of(path: str) -> str:
    """The path with names and versions left out, so that there are only a few."""
    return _VERSION.sub("/versions/{version}", _MODEL.sub("/models/{model}", path))


def _provider() -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes.get("service.name", "unknown_service")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "dray"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _attributes(traced: Traced, route: str) -> dict[str, str | int]:
    """Source: OpenTelemetry, "Semantic conventions for HTTP spans", HTTP server."""
    attributes: dict[str, str | int] = {
        "http.request.method": traced.method,
        "http.route": route,
        "http.response.status_code": traced.status,
        "url.path": traced.path,
        "url.scheme": traced.scheme,
        "dray.dialect": traced.dialect,
        "dray.request_id": traced.request_id,
    }
    for attribute, name in (("user_agent.original", b"user-agent"), ("server.address", b"host")):
        if name in traced.headers:
            attributes[attribute] = traced.headers[name].decode("latin-1")
    if traced.status >= 500:
        attributes["error.type"] = str(traced.status)
    if traced.manifest is not None:
        attributes |= {"dray.model": traced.manifest.name, "dray.version": traced.manifest.version}
    if traced.rows is not None:
        attributes["dray.rows"] = traced.rows
    return attributes
