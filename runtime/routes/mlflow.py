"""MLflow's scoring server: ``/invocations``, ``/ping``, ``/health``, ``/version``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from runtime.codec.frames import tensors_from_csv
from runtime.codec.mlflow import decode_invocation, encode_predictions
from runtime.contract.frame_readers import Header
from runtime.errors import EncodingRefused
from runtime.routes.answers import Json
from runtime.routes.inference import answer
from runtime.routes.oip import dray_version
from runtime.routes.serving import Serving

if TYPE_CHECKING:  # importing it loads ONNX Runtime
    from runtime.engine.session import Cancellation, OnnxModel

_JSON: Final = "application/json"
_CSV: Final = "text/csv"
_HINT: Final = f"send JSON as 'Content-Type: {_JSON}' or a CSV as 'Content-Type: {_CSV}', in UTF-8"


@dataclass(frozen=True, slots=True)
class BodyForm:
    """What the head of a request says of its body.

    Attributes:
        header: Of a CSV, where the sender says whether it has one (RFC 4180, section 3).
    """

    csv: bool
    header: Header | None = None


def mlflow_routes(serving: Serving) -> APIRouter:
    """``/invocations`` and the probes that go with it."""
    router = APIRouter(tags=["MLflow"])

    @router.post("/invocations", summary="Ask the model with a table: JSON as pandas writes it, or CSV")
    async def invocations(request: Request) -> Response:
        form = body_form(request.headers.get("content-type"))
        model = serving.repository.only()
        return Json(await answer(serving, request, model.manifest.name, _work(model, form)))

    async def ready() -> Response:
        error = serving.not_ready()
        if error is not None:
            raise error
        return Response(b"\n", media_type=_JSON)

    for path in ("/ping", "/health"):
        router.add_api_route(path, ready, methods=["GET"], summary="Whether every model passed its self-test")
        router.add_api_route(path, ready, methods=["HEAD"], include_in_schema=False)

    @router.get("/version", summary="Version of this server")
    async def version() -> Response:
        return PlainTextResponse(dray_version())

    return router


def body_form(content_type: str | None) -> BodyForm:
    """How to read the body; one without a content type is JSON.

    Raises:
        EncodingRefused: Neither JSON nor CSV, not in UTF-8, or with a parameter that would change its meaning.
    """
    kind, *pairs = [part.strip() for part in (content_type or _JSON).split(";")]
    parameters = {name.strip().lower(): value.strip().strip('"').lower() for name, _, value in _split(pairs)}
    csv = kind.lower() == _CSV
    header = parameters.pop("header", None) if csv else None
    fits = kind.lower() in (_JSON, _CSV) and header in (None, "present", "absent")
    if not fits or parameters.pop("charset", "utf-8") not in ("utf-8", "utf8", "us-ascii") or parameters:
        raise EncodingRefused(f"the body has the content type {content_type!r}, which is not read here", hint=_HINT)
    return BodyForm(csv, cast("Header | None", header))


def _split(pairs: list[str]) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in pairs if pair]


def _work(model: "OnnxModel", form: BodyForm) -> "Callable[[bytes, Cancellation], bytes]":
    signature = model.manifest.signature

    def work(body: bytes, cancellation: "Cancellation") -> bytes:
        inputs = (
            tensors_from_csv(body, signature, header=form.header) if form.csv else decode_invocation(body, signature)
        )
        return encode_predictions(model.run(inputs, cancellation=cancellation))

    return work
