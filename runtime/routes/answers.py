"""Response bodies that all dialects share, and the reading of request bodies."""

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from runtime.codec.binary import HEADER, Body, joined
from runtime.codec.compression import too_large
from runtime.contract.errors import DrayError


class Json(Response):
    """A JSON document written by orjson."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes, unless they are that already."""
        return content if isinstance(content, bytes) else orjson.dumps(content)


def error_body(error: DrayError, request_id: str | None) -> dict[str, Any]:
    """The one error object: ``error`` as the Open Inference Protocol has it, and the rest for programs."""
    detail = {**error.detail, "hint": error.hint} if error.hint else dict(error.detail)
    return {
        "error": error.message,
        "message": error.message,
        "error_code": error.code,
        "detail": detail,
        "request_id": request_id,
    }


async def read_body(request: Request, *, limit_bytes: int) -> Body:
    """The whole body as it came.

    Raises:
        BodyTooLarge: By its Content-Length, or once that many bytes came without one.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit_bytes:
        raise too_large(announced, limit_bytes)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise too_large(f"more than {limit_bytes}", limit_bytes)
        chunks.append(chunk)
    header_length = request.headers.get(HEADER)
    return joined(chunks, header_length.encode("latin-1") if header_length is not None else None)
