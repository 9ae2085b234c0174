"""What IoT Hub refuses, in its own words.

Source: the error codes of IoT Hub's troubleshooting pages, and answers that users of its SDKs have quoted.
"""

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from targets.rehearsal.iothub.clock import now

_CODES: Final[Mapping[str, tuple[int, int]]] = {
    "ArgumentInvalid": (400, 400004),
    "ArgumentNull": (400, 400005),
    "IotHubFormatError": (400, 400006),
    "InvalidProtocolVersion": (400, 400013),
    "InvalidQuery": (400, 400029),
    "IotHubUnauthorizedAccess": (401, 401002),
    "IotHubUnauthorized": (403, 403005),
    "IotHubQuotaExceeded": (403, 403002),
    "ResourceNotFound": (404, 404000),
    "DeviceNotFound": (404, 404001),
    "ModuleNotFound": (404, 404010),
    "DeviceNotOnline": (404, 404103),
    "ConfigurationNotFound": (404, 404011),
    "MethodNotAllowed": (405, 405001),
    "DeviceAlreadyExists": (409, 409001),
    "ModuleAlreadyExistsOnDevice": (409, 409301),
    "ConfigurationAlreadyExists": (409, 409002),
    "PreconditionFailed": (412, 412001),
    "MessageTooLarge": (413, 413001),
    "ThrottlingException": (429, 429001),
    "ServerError": (500, 500001),
    "NotInARehearsal": (501, 501000),
    "GatewayTimeout": (504, 504101),
}


class HubError(Exception):
    """A request that is refused.

    Attributes:
        name: As the header ``iothub-errorcode`` has it.
        timeout_s: Of a direct method that was waited for.
    """

    def __init__(self, name: str, message: str, *, timeout_s: int | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.timeout_s = timeout_s

    @property
    def status(self) -> int:
        """Of HTTP."""
        return _CODES[self.name][0]

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer."""
        retry = {"retry-after": "1"} if self.status == 429 else {}
        return {"iothub-errorcode": self.name, **retry}

    def body(self) -> dict[str, Any]:
        """Of the answer: those of direct methods hold JSON within JSON, the others a line."""
        tracking = f"{uuid.uuid4().hex}-G:0-TimeStamp:{now()}"
        if self.timeout_s is None:
            return {
                "Message": f"ErrorCode:{self.name};{self.message}",
                "ExceptionMessage": f"Tracking ID:{tracking}",
            }
        hours, rest = divmod(self.timeout_s, 3600)
        inner = {
            "errorCode": _CODES[self.name][1],
            "trackingId": tracking,
            "message": self.message,
            "info": {"timeout": f"{hours:02}:{rest // 60:02}:{rest % 60:02}"},
            "timestampUtc": now(),
        }
        return {"Message": json.dumps(inner), "ExceptionMessage": ""}


def invalid(message: str) -> HubError:
    """A body or parameter that makes no sense."""
    return HubError("ArgumentInvalid", message)


def no_device(device: str) -> HubError:
    """There is no such device."""
    return HubError("DeviceNotFound", f"Device {device} not registered")


def no_module(device: str, module: str) -> HubError:
    """There is no such module."""
    return HubError("ModuleNotFound", f"Module {module} on device {device} not registered")


def not_connected(timeout_s: int) -> HubError:
    """A direct method's device or module is away."""
    return HubError("DeviceNotOnline", "Timed out waiting for device to connect.", timeout_s=timeout_s)


def no_answer(timeout_s: int) -> HubError:
    """A direct method's module took too long."""
    return HubError("GatewayTimeout", "Timed out waiting for the response from device.", timeout_s=timeout_s)
