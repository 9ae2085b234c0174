"""Pages for a person: try the model, read the operations. All they load comes from here, and nothing from elsewhere."""

from functools import cache
from importlib import resources
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from runtime.errors import RouteMissing

_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES: Final = frozenset({"style.css", "try.js", "docs.js"})
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}


def pages_routes() -> APIRouter:
    """``/``, ``/docs`` and what they are made of."""
    router = APIRouter(include_in_schema=False)

    async def root(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return _page("try.html")
        return PlainTextResponse("Healthy", headers={"vary": "accept"})

    async def docs() -> Response:
        return _page("docs.html")

    async def file(name: str) -> Response:
        if name not in _FILES:
            raise RouteMissing(f"there is no page named {name[:80]!r}")
        return _page(name)

    for path, route in (("/", root), ("/docs", docs), ("/pages/{name}", file)):
        router.add_api_route(path, route, methods=["GET", "HEAD"])
    return router


def _page(name: str) -> Response:
    headers = {**_HEADERS, **({"vary": "accept"} if name == "try.html" else {})}
    return Response(_content(name), media_type=_TYPES[name[name.rindex(".") :]], headers=headers)


@cache
def _content(name: str) -> bytes:
    return resources.files("runtime").joinpath("pages", name).read_bytes()
