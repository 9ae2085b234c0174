"""Response bodies that all dialects share, and the reading of request bodies."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from runtime.contract.errors import DrayError
from runtime.errors import BodyTooLarge, EncodingRefused


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


async def read_body(request: Request, *, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        BodyTooLarge: By its Content-Length, or once that many bytes came without one.
        EncodingRefused: Compressed, or of binary tensors.
    """
    _check_head(request.headers)
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit_bytes:
        raise _too_large(announced, limit_bytes)
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(f"more than {limit_bytes}", limit_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def _check_head(headers: Mapping[str, str]) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise EncodingRefused(
            f"the body has the content encoding {encoding!r}, which this version does not read",
            hint="send it uncompressed",
        )
    if "inference-header-content-length" in headers:
        raise EncodingRefused(
            "the body is in the binary form of the protocol, which this version does not read",
            hint="send JSON (tritonclient: set_data_from_numpy(..., binary_data=False))",
        )


def _too_large(size: str, limit_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has {size} bytes, the limit is {limit_bytes}",
        hint="send fewer rows at a time, or raise DRAY_MAX_BODY_MIB",
        detail={"limit_bytes": limit_bytes},
    )
