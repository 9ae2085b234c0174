"""The stand-in's API as an ASGI app; it, the hub and the devices share the event loop."""

import hmac
import json
import logging
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, unquote

from targets.rehearsal.asgi import App, Receive, Scope, Send, body_of
from targets.rehearsal.iothub import faults, own_calls
from targets.rehearsal.iothub.calls import Answer, Call
from targets.rehearsal.iothub.errors import HubError
from targets.rehearsal.iothub.fleet import furnish
from targets.rehearsal.iothub.fleet_run import FleetRun
from targets.rehearsal.iothub.ground import Ground
from targets.rehearsal.iothub.hub import Hub
from targets.rehearsal.iothub.own_calls import OwnCalls
from targets.rehearsal.iothub.sas import HOST, POLICY, Signature, key_of
from targets.rehearsal.iothub.service_calls import ServiceCalls
from targets.rehearsal.world import World

logger = logging.getLogger(__name__)

API_VERSIONS: Final = frozenset(
    {"2018-06-30", "2019-10-01", "2020-03-13", "2020-05-31-preview", "2020-09-30", "2021-04-12", "2021-04-12-preview"}
)
_SERVICE_BYTES: Final = 1 << 20
_OWN_BYTES: Final = 64 << 20


def create_app(world: World) -> App:
    """A hub with its fleet, in a world of its own; the devices begin with the server."""
    return _App(world)


class _App:
    def __init__(self, world: World) -> None:
        self._world = world
        self._hub = Hub(world.token)
        furnish(self._hub)
        self._ground = Ground(world, self._hub)
        self._fleet = FleetRun(self._hub, self._ground)
        self._service = ServiceCalls(self._hub, self._fleet)
        self._own = OwnCalls(self._fleet, self._ground)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await _send(await self._serve(scope, receive), send)

    async def _serve(self, scope: Scope, receive: Receive) -> Answer:
        path = scope["raw_path"].decode("latin-1").partition("?")[0] if scope.get("raw_path") else scope["path"]
        own = path.startswith(own_calls.PREFIX)
        content = await body_of(receive, _OWN_BYTES if own else _SERVICE_BYTES)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        parts = tuple(unquote(part) for part in path.strip("/").split("/"))
        try:
            if content is None:
                raise HubError("MessageTooLarge", "the body is too large")
            call = Call(scope["method"], unquote(path), parts, query, headers, content)
            return await (self._answer_own(call) if own else self._answer(call))
        except HubError as error:
            return Answer(error.status, error.body(), error.headers)
        except Exception:
            # The stand-in lives on: its log has the traceback, its answer is what a real hub says of its own.
            logger.exception("unexpected, in %s %s", scope["method"], path)
            fault = HubError("ServerError", "the stand-in's log has more")
            return Answer(fault.status, fault.body(), fault.headers)

    async def _answer(self, call: Call) -> Answer:
        self._authorise(call)
        if call.query.get("api-version", "").lower() not in API_VERSIONS:
            given = call.query.get("api-version", "")
            raise HubError(
                "InvalidProtocolVersion", f"api-version {given!r} is none of {', '.join(sorted(API_VERSIONS))}"
            )
        self._fleet.look()
        faults.at_each_request(self._world.faults, call.method, call.path, conditional=call.if_match is not None)
        answer = await self._service.answer(call)
        cut = faults.changes(call.method, call.path) and self._world.faults.due("drop")
        return replace(answer, cut=True) if cut else answer

    async def _answer_own(self, call: Call) -> Answer:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._world.token.encode()):
            raise HubError("IotHubUnauthorizedAccess", "this call wants the rehearsal's token")
        return await self._own.answer(call)

    def _authorise(self, call: Call) -> None:
        """Raises HubError: it carries no good signature of the service's policy."""
        signature = Signature.parse(call.headers.get("authorization", ""))
        if signature is None or signature.policy != POLICY or not signature.covers(HOST + call.path):
            raise HubError("IotHubUnauthorizedAccess", "Unauthorized")
        if not signature.lasts() or not signature.made_with(key_of(self._world.token)):
            raise HubError("IotHubUnauthorizedAccess", "Unauthorized")

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._fleet.begin()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._fleet.end()
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _send(answer: Answer, send: Send) -> None:
    content = b"" if answer.body is None else json.dumps(answer.body).encode()
    usual = {"content-length": str(len(content)), "content-type": "application/json; charset=utf-8"}
    headers = [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in {**usual, **answer.headers}.items()
    ]
    length = [] if answer.status == 204 and not answer.cut else headers[:1]
    await send({"type": "http.response.start", "status": answer.status, "headers": length + headers[1:]})
    if answer.cut:
        # A body that is shorter than its length: the server closes the connection, the client sees it cut.
        raise ConnectionAbortedError("cut, as the fault 'drop' wants it")
    await send({"type": "http.response.body", "body": content})
