"""Refusals of the registry of a stand-in as answers, in the form of the distribution specification."""

import errno
import os
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from targets.rehearsal.registry_codes import Refused

# Some clients know by it that this is a registry.
API: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="dray rehearsal"'}
_NO_METHOD: Final = 405


async def refused(_: Request, error: Exception) -> Response:
    """The answer to a request that is not granted."""
    if not isinstance(error, Refused):
        raise error
    body = {"errors": [{"code": error.code, "message": error.message, "detail": None}]}
    headers = _CHALLENGE if error.code == "UNAUTHORIZED" else {}
    return JSONResponse(body, status_code=error.status, headers={**API, **headers})


async def unknown(request: Request, error: Exception) -> Response:
    """The answer where there is no such call."""
    if not isinstance(error, HTTPException):
        raise error
    code = "UNSUPPORTED" if error.status_code == _NO_METHOD else "NAME_UNKNOWN"
    return await refused(request, Refused(code, f"{request.method} {request.url.path} is no call of a registry"))


async def no_room(request: Request, error: Exception) -> Response:
    """The answer where the disk of this machine is full: another try would not help."""
    if not (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        raise error
    return await refused(request, Refused("SIZE_INVALID", f"{os.strerror(error.errno)}, below DRAY_HOME"))
