"""The service's API: devices, modules, twins, configurations, queries and direct methods."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from targets.rehearsal.iothub.calls import Answer, Call, with_etag
from targets.rehearsal.iothub.errors import HubError, invalid, not_connected
from targets.rehearsal.iothub.fleet_run import FleetRun
from targets.rehearsal.iothub.hub import Hub
from targets.rehearsal.iothub.queries import query_of
from targets.rehearsal.iothub.sessions import METHOD_BYTES
from targets.rehearsal.iothub.twins import require_match

_Handler = Callable[["ServiceCalls", Call], Awaitable[Answer] | Answer]
_MOST: Final = 1000
_PAGE: Final = 100
_LEAST_S: Final = 5
_MOST_S: Final = 300
_USUAL_S: Final = 30


class ServiceCalls:
    """Answers them."""

    def __init__(self, hub: Hub, fleet: FleetRun) -> None:
        self._hub = hub
        self._fleet = fleet

    async def answer(self, call: Call) -> Answer:
        """Raises HubError: it is refused."""
        for pattern, methods in _ROUTES:
            if len(pattern) == len(call.parts) and all(
                want in ("*", got) for want, got in zip(pattern, call.parts, strict=True)
            ):
                handler = methods.get(call.method)
                if handler is None:
                    raise HubError("MethodNotAllowed", f"{call.method} {call.path} is not allowed")
                given = handler(self, call)
                return given if isinstance(given, Answer) else await given
        raise HubError("ResourceNotFound", f"{call.method} {call.path} is not in a rehearsal")

    def _get_devices(self, call: Call) -> Answer:
        most = call.number("top", _MOST, _MOST)
        return Answer(200, [each.shown(self._hub.secret) for each in self._hub.devices()][:most])

    def _get_identity(self, call: Call) -> Answer:
        return with_etag(self._hub.identity(*_named(call)).shown(self._hub.secret))

    def _get_modules(self, call: Call) -> Answer:
        return Answer(200, [each.shown(self._hub.secret) for each in self._hub.modules(call.parts[1])])

    def _put_identity(self, call: Call) -> Answer:
        device, module = _named(call)
        body = call.body()
        if body.get("deviceId", device) != device or (module and body.get("moduleId", module) != module):
            raise invalid("the ids in the body are not those in the path")
        if call.if_match is not None:
            found = self._hub.identity(device, module)
            require_match(call.if_match, found.etag)
            found.version += 1
        elif module:
            found = self._hub.add_module(device, module, managed_by=str(body.get("managedBy") or ""))
        else:
            found = self._hub.add_device(device, edge=bool((body.get("capabilities") or {}).get("iotEdge")))
        return with_etag(found.shown(self._hub.secret))

    def _delete_identity(self, call: Call) -> Answer:
        device, module = _named(call)
        require_match(call.if_match, self._hub.identity(device, module).etag)
        self._hub.remove(device, module)
        self._fleet.count()
        return Answer(204)

    def _get_twin(self, call: Call) -> Answer:
        return with_etag(self._hub.shown_twin(self._hub.identity(*_named(call))))

    def _change_twin(self, call: Call) -> Answer:
        device, module = _named(call)
        identity = self._hub.identity(device, module)
        require_match(call.if_match, identity.twin.etag)
        change = identity.twin.patch if call.method == "PATCH" else identity.twin.put
        if change(call.body()) or not module:
            self._hub.patched(device, module)
        self._fleet.count()
        return with_etag(self._hub.shown_twin(identity))

    def _apply(self, call: Call) -> Answer:
        device = call.parts[1]
        body = call.body()
        self._fleet.before_apply(device)
        self._hub.apply(device, body)
        self._fleet.count()
        return Answer(204)

    def _query(self, call: Call) -> Answer:
        text = call.body().get("query")
        if not isinstance(text, str):
            raise HubError("InvalidQuery", "the body must have a query")
        query = query_of(text)
        rows, most = self._hub.ask(query), call.number("x-ms-max-item-count", _PAGE, _MOST)
        start = _position(call.headers.get("x-ms-continuation", ""))
        more = {"x-ms-continuation": _token(start + most)} if len(rows) > start + most else {}
        return Answer(
            200, rows[start : start + most], {"x-ms-item-type": "Twin" if not query.columns else "Raw", **more}
        )

    def _statistics(self, call: Call) -> Answer:
        count = len(list(self._hub.devices()))
        return Answer(200, {"totalDeviceCount": count, "enabledDeviceCount": count, "disabledDeviceCount": 0})

    def _get_configurations(self, call: Call) -> Answer:
        most = call.number("top", _MOST, _MOST)
        return Answer(200, [self._hub.shown_configuration(each) for each in self._hub.configurations()][:most])

    def _get_configuration(self, call: Call) -> Answer:
        return with_etag(self._hub.shown_configuration(self._hub.configuration(call.parts[1])))

    def _put_configuration(self, call: Call) -> Answer:
        name = call.parts[1]
        known = next((each for each in self._hub.configurations() if each.id == name), None)
        if known is not None and call.if_match is None:
            raise HubError("ConfigurationAlreadyExists", f"A configuration with ID '{name}' already exists.")
        if known is None and call.if_match not in (None, "*"):
            raise HubError("ConfigurationNotFound", f"Configuration {name} does not exist")
        if known is not None:
            require_match(call.if_match, known.etag)
        found, new = self._hub.put_configuration(name, call.body())
        self._fleet.count()
        return with_etag(self._hub.shown_configuration(found), 201 if new else 200)

    def _delete_configuration(self, call: Call) -> Answer:
        require_match(call.if_match, self._hub.configuration(call.parts[1]).etag)
        self._hub.remove_configuration(call.parts[1])
        self._fleet.count()
        return Answer(204)

    def _test_queries(self, call: Call) -> Answer:
        from targets.rehearsal.iothub.configurations import condition_of

        body, problems = call.body(), {}
        try:
            condition_of(str(body.get("targetCondition") or ""))
        except HubError as error:
            problems["targetConditionError"] = error.message
        wrong = {}
        for name, text in (body.get("customMetricQueries") or {}).items():
            try:
                self._hub.check_metric(str(text))
            except HubError as error:
                wrong[name] = error.message
        return Answer(200, {"targetConditionError": None, **problems, "customMetricQueryErrors": wrong})

    async def _invoke(self, call: Call) -> Answer:
        device, module = _named(call)
        self._hub.identity(device, module)
        if len(call.content) > METHOD_BYTES + 1024:
            raise HubError("MessageTooLarge", f"a direct method's payload has at most {METHOD_BYTES} bytes")
        body = call.body()
        method = body.get("methodName")
        if not isinstance(method, str) or not method or len(method) > 100 or set(method) & set("/+#?\0"):
            raise invalid("methodName must be a name of at most 100 characters")
        payload = body.get("payload")
        if len(json.dumps(payload, separators=(",", ":")).encode()) > METHOD_BYTES:
            raise HubError("MessageTooLarge", f"a direct method's payload has at most {METHOD_BYTES} bytes")
        answer_s = _seconds(body, "responseTimeoutInSeconds", _USUAL_S, _LEAST_S)
        connect_s = _seconds(body, "connectTimeoutInSeconds", 0, 0)
        running = self._fleet.running(device)
        if running is None or not module:
            raise not_connected(connect_s)
        status, given = await running.call(module, method, payload, connect_s=connect_s, answer_s=answer_s)
        return Answer(200, {"status": status, "payload": given})


def _named(call: Call) -> tuple[str, str]:
    """Device, and module or nothing."""
    return call.parts[1], call.parts[3] if len(call.parts) > 3 and call.parts[2] == "modules" else ""


def _seconds(body: dict[str, Any], name: str, usual: int, least: int) -> int:
    given = body.get(name, usual)
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= _MOST_S:
        raise invalid(f"{name} is {given!r}, allowed: a whole number from {least} to {_MOST_S}")
    return given


def _token(position: int) -> str:
    return base64.b64encode(str(position).encode()).decode()


def _position(token: str) -> int:
    try:
        return int(base64.b64decode(token, validate=True)) if token else 0
    except ValueError:
        raise invalid("x-ms-continuation is none of this hub's") from None


_IDENTITY: Final[dict[str, _Handler]] = {
    "GET": ServiceCalls._get_identity,
    "PUT": ServiceCalls._put_identity,
    "DELETE": ServiceCalls._delete_identity,
}
_TWIN: Final[dict[str, _Handler]] = {
    "GET": ServiceCalls._get_twin,
    "PATCH": ServiceCalls._change_twin,
    "PUT": ServiceCalls._change_twin,
}
_CONFIGURATION: Final[dict[str, _Handler]] = {
    "GET": ServiceCalls._get_configuration,
    "PUT": ServiceCalls._put_configuration,
    "DELETE": ServiceCalls._delete_configuration,
}
_ROUTES: Final[tuple[tuple[tuple[str, ...], dict[str, _Handler]], ...]] = (
    (("devices",), {"GET": ServiceCalls._get_devices}),
    (("devices", "query"), {"POST": ServiceCalls._query}),
    (("devices", "*"), _IDENTITY),
    (("devices", "*", "modules"), {"GET": ServiceCalls._get_modules}),
    (("devices", "*", "modules", "*"), _IDENTITY),
    (("devices", "*", "applyConfigurationContent"), {"POST": ServiceCalls._apply}),
    (("statistics", "devices"), {"GET": ServiceCalls._statistics}),
    (("twins", "*"), _TWIN),
    (("twins", "*", "methods"), {"POST": ServiceCalls._invoke}),
    (("twins", "*", "modules", "*"), _TWIN),
    (("twins", "*", "modules", "*", "methods"), {"POST": ServiceCalls._invoke}),
    (("configurations",), {"GET": ServiceCalls._get_configurations}),
    (("configurations", "testQueries"), {"POST": ServiceCalls._test_queries}),
    (("configurations", "*"), _CONFIGURATION),
)
