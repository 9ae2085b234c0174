"""What an IoT hub's refusals mean, in our words: by the code that it names, else by the HTTP status.

A refusal's code stands in the header ``iothub-errorcode``, in ``Message`` as ``ErrorCode:NAME;…``, or, of direct
methods, as a number in JSON within ``Message``. Source: learn.microsoft.com, "Understand and resolve IoT Hub errors".
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from packager.core.errors import (
    CloudFailed,
    DeploymentMissing,
    DeviceMissing,
    DeviceOffline,
    DrayError,
    Forbidden,
    InvocationError,
    NotSignedIn,
    QuotaReached,
    RequestRefused,
    Throttled,
    Transitioning,
)

_NAMED: Final = re.compile(r"ErrorCode:\s*(\w+)\s*;?\s*(.*)", re.DOTALL)
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT, _CHANGED, _TOO_MANY, _SERVER = 401, 403, 404, 409, 412, 429, 500
# Numbers of direct methods' errors. Source: the same page, "404103", "504101".
_NUMBERS: Final = {
    404103: "DeviceNotOnline",
    504101: "GatewayTimeout",
    404001: "DeviceNotFound",
    429001: "ThrottlingException",
}
_POLICY: Final = "a policy with registry read, registry write and service connect: iothubowner has them"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is none of success."""

    status: int
    code: str
    message: str
    tracking: str = ""

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> "Refusal":
        """As the hub wrote it."""
        document = _json(body)
        text = str(document.get("Message") or document.get("message") or body.decode("utf-8", "replace")[:300])
        inner = _json(text.encode()) if text.startswith("{") else {}
        named = _NAMED.match(text)
        number = inner.get("errorCode") or document.get("errorCode")
        code = headers.get("iothub-errorcode") or (named[1] if named else _NUMBERS.get(_number(number), ""))
        said = str(inner.get("message") or (named[2] if named else text))
        tracking = str(document.get("ExceptionMessage") or inner.get("trackingId") or "")
        return cls(status, code, _one_line(said), _one_line(tracking))


def error_of(refusal: Refusal, what: str) -> DrayError:
    """The error of ours.

    Args:
        what: Was asked for, in words that fit into "the hub refused …".
    """
    detail = {"status": refusal.status, "hub_code": refusal.code, "tracking": refusal.tracking}
    said = f"{refusal.message.rstrip('.') or 'it does not say why'}{f' ({refusal.code})' if refusal.code else ''}"
    message = f"the hub refused {what}: {said}"
    match refusal.code:
        case "DeviceNotFound":
            return DeviceMissing(message, hint="az iot hub device-identity list names the devices", detail=detail)
        case "ModuleNotFound" | "ConfigurationNotFound":
            return DeploymentMissing(message, hint="`dray status` lists what there is", detail=detail)
        case "DeviceNotOnline":
            return DeviceOffline(
                f"{what} did not get through: {said}", hint="is the device on, and its module running?", detail=detail
            )
        case "GatewayTimeout":
            return InvocationError(
                f"{what} was not answered in time: {said}", hint="raise --timeout; `dray logs` says more", detail=detail
            )
        case "InvalidQuery":
            return RequestRefused(
                message, hint="conditions are written as tags.site='north' AND tags.line='a'", detail=detail
            )
        case "IotHubQuotaExceeded" | "DeviceMaximumQueueDepthExceeded":
            return QuotaReached(message, hint="the hub's daily quota: tomorrow, or more units", detail=detail)
    return _by_status(refusal.status, message, what, said, detail)


def _by_status(status: int, message: str, what: str, said: str, detail: Mapping[str, Any]) -> DrayError:
    if status == _UNAUTHORIZED:
        hint = f"the key may have been changed: take the connection string anew; {_POLICY}"
        return NotSignedIn(message, hint=hint, detail=detail)
    if status == _FORBIDDEN:
        return Forbidden(message, hint=f"take {_POLICY}", detail=detail)
    if status == _NOT_FOUND:
        return DeploymentMissing(
            f"the hub has no {what}: {said}", hint="`dray status` lists what there is", detail=detail
        )
    if status in (_CONFLICT, _CHANGED):
        return Transitioning(f"{what} was changed at the same moment: {said}", hint="run it again", detail=detail)
    if status == _TOO_MANY:
        return Throttled(message, hint="again in some minutes", detail=detail)
    if status >= _SERVER:
        return CloudFailed(f"the hub failed at {what}: {said}", hint="again later", detail=detail)
    return RequestRefused(message, hint="`dray plan -o json` shows what is sent", detail=detail)


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) else int(value) if str(value).isdecimal() else 0


def _one_line(text: str, limit: int = 600) -> str:
    words = " ".join(text.split())
    return words[:limit] + ("…" if len(words) > limit else "")
