"""Probes: is the process alive, may it get traffic."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runtime.routes.answers import Json, error_body
from runtime.routes.serving import Serving

# Open without a key: probes cannot send one, and they tell nothing that has to be kept.
OPEN_PATHS: Final = frozenset({"/", "/livez", "/readyz", "/ping", "/health", "/v2/health/live", "/v2/health/ready"})
# So are the pages, which ask for a key themselves; what they then load is not.
OPEN_PAGES: Final = frozenset({"/docs", "/pages/style.css", "/pages/try.js", "/pages/docs.js"})


def health_routes(serving: Serving) -> APIRouter:
    """``/livez``, ``/readyz`` and the Open Inference Protocol's two."""
    router = APIRouter(tags=["health"])

    async def live() -> Response:
        return Json({"live": True})

    async def ready(request: Request) -> Response:
        error = serving.not_ready()
        if error is None:
            return Json({"ready": True, **serving.report()})
        body = {**error_body(error, request.state.request_id), "ready": False, **serving.report()}
        return Json(body, status_code=503, headers={"retry-after": "1"} if serving.state == "starting" else None)

    def add(path: str, route: Callable[..., Awaitable[Response]], summary: str) -> None:
        router.add_api_route(path, route, methods=["GET"], summary=summary)
        router.add_api_route(path, route, methods=["HEAD"], include_in_schema=False)

    add("/livez", live, "Whether the process answers")
    add("/readyz", ready, "Whether every model passed its self-test; why not, if one did not")
    add("/v2/health/live", live, "Whether the process answers")
    add("/v2/health/ready", ready, "Whether every model passed its self-test; why not, if one did not")
    return router
