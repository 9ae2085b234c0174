"""Probes, carried out as a kubelet does it: on their times, with their thresholds."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import httpx

Kind = Literal["Startup", "Liveness", "Readiness"]

_FIRST_S: Final = 0.05


@dataclass(slots=True)
class Target:
    """Where probes of a container go.

    Attributes:
        ports: Of the container, by name.
        hangs: Whether it answers nothing any more.
    """

    address: str
    ports: Mapping[str, int]
    client: httpx.AsyncClient
    hangs: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Who hears what of a probe.

    Attributes:
        failed: A single failure, in a kubelet's words.
        decided: Enough in a row: whether they were successes.
    """

    failed: Callable[[Kind, str], None]
    decided: Callable[[Kind, bool], None]


async def probe(kind: Kind, asked: Mapping[str, Any], target: Target, verdicts: Verdicts) -> None:
    """Probe until it is cancelled; a startup probe ends with its first verdict."""
    await asyncio.sleep(asked.get("initialDelaySeconds", 0) or _FIRST_S)
    last, times = True, 0
    while True:
        why = await failure(asked, target)
        times = times + 1 if last == (not why) else 1
        last = not why
        if why:
            verdicts.failed(kind, why)
        if times >= (asked["successThreshold"] if last else asked["failureThreshold"]):
            verdicts.decided(kind, last)
            if kind == "Startup":
                return
        await asyncio.sleep(asked["periodSeconds"])


async def failure(asked: Mapping[str, Any], target: Target) -> str:
    """Why a probe fails, in a kubelet's words; empty where it succeeds."""
    timeout_s = asked["timeoutSeconds"]
    if target.hangs():
        await asyncio.sleep(min(timeout_s, 1))
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    if "httpGet" in asked:
        return await _http(asked["httpGet"], target, timeout_s)
    if "tcpSocket" in asked:
        return await _tcp(asked["tcpSocket"], target, timeout_s)
    return "a probe of this kind is not rehearsed"


async def _http(asked: Mapping[str, Any], target: Target, timeout_s: float) -> str:
    port = _port(asked["port"], target)
    host = asked.get("host") or target.address
    url = f"{asked['scheme'].lower()}://{host}:{port}/{asked['path'].removeprefix('/')}"
    headers = {"User-Agent": "kube-probe/1.37", "Connection": "close"}
    headers |= {each["name"]: each["value"] for each in asked.get("httpHeaders", ())}
    try:
        status = (await target.client.get(url, headers=headers, timeout=timeout_s)).status_code
    except httpx.TimeoutException:
        return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
    except httpx.ConnectError:
        return f'Get "{url}": dial tcp {host}:{port}: connect: connection refused'
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return f'Get "{url}": {error}'
    return "" if 200 <= status < 400 else f"HTTP probe failed with statuscode: {status}"


async def _tcp(asked: Mapping[str, Any], target: Target, timeout_s: float) -> str:
    port = _port(asked["port"], target)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target.address, port), timeout_s)
    except (OSError, TimeoutError) as error:
        return f"dial tcp {target.address}:{port}: {error}"
    writer.close()
    return ""


def _port(given: int | str, target: Target) -> int:
    return given if isinstance(given, int) else target.ports.get(given, 0)
