"""Calls of a rehearsal that no hub has: messages of leaf devices in, messages of the cloud out, bad moments of devices.

They stand under ``/_edge/`` and want the rehearsal's token, as its other own calls.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.iothub.calls import Answer, Call
from targets.rehearsal.iothub.connections import MESSAGE_BYTES
from targets.rehearsal.iothub.device import EdgeDevice
from targets.rehearsal.iothub.errors import HubError, invalid, no_module
from targets.rehearsal.iothub.fleet_run import FleetRun
from targets.rehearsal.iothub.ground import Ground
from targets.rehearsal.iothub.queues import QueueFull
from targets.rehearsal.iothub.routes import Message

PREFIX: Final = "/_edge/"
LEAF: Final = "rehearsal-leaf"
_MOST_MESSAGES: Final = 5000
_MOST_WAIT_S: Final = 30.0
_LONGEST_CUT_S: Final = 300.0


class OwnCalls:
    """Answers them."""

    def __init__(self, fleet: FleetRun, ground: Ground) -> None:
        self._fleet = fleet
        self._ground = ground

    async def answer(self, call: Call) -> Answer:
        """Raises HubError: it is refused."""
        match call.method, call.parts[1:]:
            case "POST", ("messages",):
                return self._send(call.body())
            case "GET", ("upstream",):
                return await self._watch(call.query)
            case "GET", ("devices", device):
                return Answer(200, _shown(self._fleet.known(device)))
            case "POST", ("devices", device, verb):
                return self._happen(self._fleet.known(device), verb, call)
            case "POST", ("devices", device, "modules", module, "kill"):
                run = self._fleet.known(device).agent.runs.get(module)
                if run is None:
                    raise no_module(device, module)
                await run.kill()
                return Answer(204)
        raise HubError("ResourceNotFound", f"{call.method} {call.path} is no call of a rehearsal")

    def _send(self, body: Mapping[str, Any]) -> Answer:
        """Messages of a leaf device to the edge hubs of all devices that have a module, or of one."""
        name, chosen = body.get("module"), body.get("device")
        devices = [each for each in self._fleet.having(str(name)) if chosen in (None, each.name)]
        if not devices:
            where = f" on {chosen}" if chosen else ""
            raise HubError("ModuleNotFound", f"no device has a module {name!r}{where}")
        given = body.get("messages")
        if not isinstance(given, list) or not 0 < len(given) <= _MOST_MESSAGES:
            raise invalid(f"messages must be a list of 1 to {_MOST_MESSAGES}")
        messages = [_message(each) for each in given]
        sent = dict.fromkeys((each.name for each in devices), 0)
        for device in devices:
            for position, message in enumerate(messages):
                try:
                    reached = device.edge_hub.accept(message)
                except QueueFull:
                    raise HubError(
                        "IotHubQuotaExceeded", f"the edge hub of {device.name} is full, after {position} messages"
                    ) from None
                if not reached:
                    raise invalid(f"no route of {device.name} takes messages of leaf devices: FROM /messages/* INTO …")
                sent[device.name] += 1
        return Answer(200, {"sent": sent, "last": self._ground.upstream.last})

    async def _watch(self, query: Mapping[str, str]) -> Answer:
        after, most = _whole(query, "after", 0), min(_whole(query, "most", 100), _MOST_MESSAGES)
        upstream = self._ground.upstream
        if "after" not in query:
            return Answer(200, {"messages": [], "last": upstream.last})
        await upstream.wait(after, min(float(_whole(query, "wait", 0)), _MOST_WAIT_S))
        found = upstream.after(after, most)
        return Answer(200, {"messages": [each.shown() for each in found], "last": found[-1].number if found else after})

    def _happen(self, device: EdgeDevice, verb: str, call: Call) -> Answer:
        match verb:
            case "online":
                device.go_online()
            case "offline":
                device.go_offline()
            case "cut":
                seconds = call.body().get("seconds")
                if not isinstance(seconds, int | float) or not 0 <= seconds <= _LONGEST_CUT_S:
                    raise invalid(f"seconds is {seconds!r}, allowed: 0 to {_LONGEST_CUT_S:g}")
                device.cut(float(seconds))
            case _:
                raise HubError("ResourceNotFound", f"nothing of the name {verb!r} happens to a device")
        return Answer(204)


def _message(given: Any) -> Message:
    if not isinstance(given, dict):
        raise invalid("a message must be an object")
    properties, system = given.get("properties") or {}, given.get("system") or {}
    for each in (properties, system):
        if not isinstance(each, dict) or not all(isinstance(value, str) for value in each.values()):
            raise invalid("properties and system must be objects of strings")
    try:
        body = base64.b64decode(given.get("body") or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise invalid("a message's body must be base64") from None
    message = Message(str(given.get("leaf") or LEAF), "", "", body, properties, system)
    if message.size > MESSAGE_BYTES:
        raise HubError(
            "MessageTooLarge", f"a message has at most {MESSAGE_BYTES} bytes with its properties, not {message.size}"
        )
    return message


def _shown(device: EdgeDevice) -> dict[str, Any]:
    modules = {}
    for name, run in device.agent.runs.items():
        session = device.edge_hub.session(name)
        modules[name] = {
            "run": run.state.run,
            "runtimeStatus": run.state.runtime,
            "restarts": run.state.restarts,
            "connected": session.connected,
            "queued": len(session.queue),
            "unacknowledged": len(session.in_flight),
            "expired": session.queue.expired,
        }
    return {
        "device": device.name,
        "online": device.online,
        "platform": str(device.platform),
        "broker": device.edge_hub.address,
        "waitingUp": len(device.edge_hub.waiting_up),
        "modules": modules,
    }


def _whole(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise invalid(f"{name} is {text!r}, not a whole number")
    return int(text)
