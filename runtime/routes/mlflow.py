"""MLflow's scoring server: ``/invocations``, ``/ping``, ``/health``, ``/version``."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from runtime.routes.dialects import invocations
from runtime.routes.inference import answer
from runtime.routes.oip import dray_version
from runtime.routes.serving import Serving

_JSON: Final = "application/json"


def mlflow_routes(serving: Serving) -> APIRouter:
    """``/invocations`` and the probes that go with it."""
    router = APIRouter(tags=["MLflow"])

    @router.post("/invocations", summary="Ask the model with a table: JSON as pandas writes it, or CSV")
    async def invoke(request: Request) -> Response:
        return await answer(serving, request, serving.repository.only, invocations)

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
