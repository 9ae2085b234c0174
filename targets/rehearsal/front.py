"""The door of a stand-in: its own calls under ``/_rehearsal/``, everything else for the cloud's API."""

import hmac
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from packager.core.errors import UsageError
from runtime.contract.persisted import Persisted
from targets.kit.engine.process import ProcessIdentity
from targets.rehearsal.life import Life
from targets.rehearsal.world import Faults

PREFIX: Final = "/_rehearsal/"
_LARGEST_BODY: Final = 1 << 16


class FaultOrder(Persisted):
    """What a command that opens a stand-in sends.

    Attributes:
        faults: What goes wrong from now on, instead of what did before.
        opener: The command's process; None for one that does not say.
    """

    faults: tuple[str, ...] = ()
    opener: ProcessIdentity | None = Field(default=None)


class Counted:
    """An application whose requests its stand-in knows of, so that it does not end while somebody needs it."""

    def __init__(self, app: ASGIApp, life: Life) -> None:
        self._app = app
        self._life = life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or say that it came too late."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not self._life.begin_request():
            await _refusal(503, "this rehearsal ends", {"Connection": "close"})(scope, receive, send)
        else:
            try:
                await self._app(scope, receive, send)
            finally:
                self._life.end_request()


class Front:
    """The stand-in's own calls before the API."""

    def __init__(self, app: ASGIApp, life: Life, faults: Faults, token: str, facts: Mapping[str, Any]) -> None:
        """Serves at once.

        Args:
            facts: Of the stand-in, for who asks for its state.
        """
        self._app = app
        self._life = life
        self._faults = faults
        self._token = token
        self._facts = facts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            answer = await self._own(Request(scope, receive))
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _own(self, request: Request) -> Response:
        if not self._shown(request.headers.get("authorization", "")):
            return _refusal(401, "this call wants the rehearsal's token", {"WWW-Authenticate": "Bearer"})
        call = (request.method, request.url.path.removeprefix(PREFIX))
        if call == ("GET", "state"):
            return JSONResponse({**self._facts, "held": self._life.held})
        if call == ("POST", "faults"):
            return await self._order(request)
        if call == ("POST", "end"):
            self._life.end()
            return JSONResponse({}, status_code=202)
        return _refusal(404, f"{call[0]} {request.url.path} is no call of a rehearsal")

    async def _order(self, request: Request) -> Response:
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > _LARGEST_BODY:
                return _refusal(413, f"at most {_LARGEST_BODY} bytes")
        try:
            order = FaultOrder.model_validate(json.loads(content))
            self._faults.set(order.faults)
        except UsageError as error:
            return _refusal(400, error.message)
        except (ValidationError, ValueError):
            return _refusal(400, "not an order of faults")
        self._life.open(order.opener)
        return JSONResponse({**self._facts, "held": self._life.held})

    def _shown(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self._token.encode())


def _refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status_code=status, headers=headers)
