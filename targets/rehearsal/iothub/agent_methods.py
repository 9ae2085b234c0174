"""Direct methods of an edge agent: what a device can be asked without a way to reach it.

Source: "Communicate with edgeAgent using built-in direct methods" and "Retrieve logs from IoT Edge deployments",
Microsoft.
"""

import base64
import gzip
import re
from collections.abc import Mapping
from typing import Any

from targets.rehearsal.iothub.agent import Agent
from targets.rehearsal.iothub.sessions import METHOD_BYTES

_Answer = tuple[int, Any]


async def call(agent: Agent, method: str, payload: Any) -> _Answer:
    """Status and payload of the answer."""
    match method:
        case "ping":
            return 200, None
        case "GetModuleLogs":
            return await _logs(agent, payload)
        case "RestartModule":
            return await _restart(agent, payload)
    return 400, {
        "message": f"{method!r} is no method of an edge agent in a rehearsal: ping, GetModuleLogs, RestartModule"
    }


async def _logs(agent: Agent, payload: Any) -> _Answer:
    if refused := _schema(payload):
        return refused
    items, encoding = payload.get("items") or (), payload.get("encoding", "none")
    if not isinstance(items, list) or not all(
        isinstance(each, dict) and isinstance(each.get("id"), str) for each in items
    ):
        return 400, {"message": "items must be a list of objects with an id"}
    if encoding not in ("none", "gzip"):
        return 400, {"message": f"encoding must be none or gzip, not {encoding!r}"}
    found = []
    for item in items:
        try:
            pattern = re.compile(item["id"])
        except re.error:
            return 400, {"message": f"{item['id']!r} is no regular expression"}
        for name in [name for name in agent.runs if pattern.fullmatch(name) or name == item["id"]]:
            text = await agent.runs[name].log(_tail(item.get("filter") or {}))
            found.append(_shown(name, _filtered(text, item.get("filter") or {}), encoding))
    return 200, found


def _shown(name: str, text: str, encoding: str) -> dict[str, Any]:
    content = text.encode()[-METHOD_BYTES // 2 :]
    if encoding == "gzip":
        return {"id": name, "payloadBytes": base64.b64encode(gzip.compress(content)).decode(), "payload": None}
    return {"id": name, "payloadBytes": None, "payload": content.decode("utf-8", "replace")}


def _tail(given: Mapping[str, Any]) -> int | None:
    tail = given.get("tail")
    return tail if isinstance(tail, int) and tail >= 0 and not given.get("regex") else None


def _filtered(text: str, given: Mapping[str, Any]) -> str:
    regex = given.get("regex")
    if not isinstance(regex, str):
        return text
    lines = [line for line in text.splitlines(keepends=True) if regex in line]
    tail = given.get("tail")
    return "".join(lines[-tail:] if isinstance(tail, int) and tail > 0 else lines)


async def _restart(agent: Agent, payload: Any) -> _Answer:
    if refused := _schema(payload):
        return refused
    run = agent.runs.get(str(payload.get("id")))
    if run is None:
        return 400, {"message": f"Module {payload.get('id')} not found in the current environment"}
    await run.restart()
    return 200, None


def _schema(payload: Any) -> _Answer | None:
    if not isinstance(payload, dict) or payload.get("schemaVersion") not in ("1.0", "1.1"):
        return 400, {"message": "the payload must have schemaVersion 1.0 or 1.1"}
    return None
