"""What dray asks of an IoT hub: twins, modules for one device, configurations for many, direct methods, queries.

Source: learn.microsoft.com, "IoT Hub Service REST", version 2021-04-12.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from packager.core.errors import DeploymentMissing, DeviceMissing
from targets.kit.iothub.requests import Requests

Json = Mapping[str, Any]
AGENT: Final = "$edgeAgent"
HUB: Final = "$edgeHub"
CONNECTED: Final = "Connected"
_PAGE: Final = 100
_CONTINUES: Final = "x-ms-continuation"
# What is added to a method's own time, for its way there and back.
_ON_THE_WAY_S: Final = 10.0
_LEAST_S, _MOST_S = 5, 300
# For a module that is about to come back: its hub restarts, or its token is renewed.
_BACK_S: Final = 15


class Hub(Requests):
    """A hub's service API, as typed calls."""

    def twin(self, device: str, module: str | None = None) -> Json:
        """A device's twin, or that of a module of it.

        Raises:
            DeviceMissing, DeploymentMissing: There is none.
        """
        path, what = _twin(device, module)
        return dict(self.ask("GET", path, what))

    def find_twin(self, device: str, module: str | None = None) -> Json | None:
        """The same; None where there is none."""
        try:
            return self.twin(device, module)
        except (DeviceMissing, DeploymentMissing):
            return None

    def patch_twin(self, device: str, body: Json, *, module: str | None = None, etag: str | None = None) -> Json:
        """Change tags or desired properties; None in ``body`` removes.

        Args:
            etag: That the twin must still have.

        Raises:
            Transitioning: It has another.
        """
        path, what = _twin(device, module)
        return dict(self.ask("PATCH", path, what, body=body, headers={"If-Match": _quoted(etag)} if etag else None))

    def apply(self, device: str, modules: Json) -> None:
        """Take modules for one device: all of ``$edgeAgent`` and ``$edgeHub``, and of other modules those named."""
        path = f"/devices/{_in_path(device)}/applyConfigurationContent"
        self.ask("POST", path, f"modules for device {device!r}", body={"modulesContent": modules})

    def method(
        self, device: str, module: str, name: str, payload: Any, *, timeout_s: float, connect_s: int = _BACK_S
    ) -> tuple[int, Any]:
        """Status and payload of a direct method.

        Args:
            connect_s: For how long a module is waited for that is not connected.

        Raises:
            DeviceOffline: The module is not connected.
            InvocationError: It did not answer in time.
        """
        seconds = min(_MOST_S, max(_LEAST_S, round(timeout_s)))
        body = {
            "methodName": name,
            "payload": payload,
            "responseTimeoutInSeconds": seconds,
            "connectTimeoutInSeconds": connect_s,
        }
        path = f"/twins/{_in_path(device)}/modules/{_in_path(module)}/methods"
        what = f"method {name!r} of module {module!r} on device {device!r}"
        answer = self.ask("POST", path, what, body=body, timeout_s=seconds + connect_s + _ON_THE_WAY_S)
        return int(answer.get("status") or 0), answer.get("payload")

    def query(self, text: str, *, most: int | None = None) -> Iterator[Json]:
        """Rows of a query, page by page."""
        headers = {"x-ms-max-item-count": str(min(_PAGE, most or _PAGE))}
        told = 0
        while True:
            answer = self.answer("POST", "/devices/query", "a query", body={"query": text}, headers=headers)
            for row in answer.json():
                yield row
                told += 1
                if most is not None and told >= most:
                    return
            token = answer.headers.get(_CONTINUES)
            if not token:
                return
            headers = {**headers, _CONTINUES: token}

    def configuration(self, name: str) -> Json | None:
        """A configuration; None where there is none."""
        try:
            return dict(self.ask("GET", _configuration(name), f"configuration {name!r}"))
        except DeploymentMissing:
            return None

    def configurations(self) -> tuple[Json, ...]:
        """All of them; a hub has a hundred at most."""
        return tuple(self.ask("GET", "/configurations", "configurations"))

    def put_configuration(self, name: str, body: Json, *, etag: str | None = None) -> Json:
        """Make one, or change labels, condition, priority and metrics of the one with ``etag``.

        Raises:
            Transitioning: It is there already, or was changed.
        """
        headers = {"If-Match": _quoted(etag)} if etag else None
        return dict(self.ask("PUT", _configuration(name), f"configuration {name!r}", body=body, headers=headers))

    def delete_configuration(self, name: str) -> None:
        """Delete one; one that is gone is fine."""
        try:
            self.ask("DELETE", _configuration(name), f"configuration {name!r}", headers={"If-Match": "*"})
        except DeploymentMissing:
            return


def desired_of(twin: Json) -> dict[str, Any]:
    """Desired properties without what the hub adds."""
    return _own((twin.get("properties") or {}).get("desired") or {})


def reported_of(twin: Json) -> dict[str, Any]:
    """Reported properties without what the hub adds."""
    return _own((twin.get("properties") or {}).get("reported") or {})


def desired_version(twin: Json) -> int:
    """Of the desired properties: grows with each change."""
    return int(((twin.get("properties") or {}).get("desired") or {}).get("$version") or 0)


def is_connected(twin: Json) -> bool:
    """Whether the device or module is connected now, as far as the hub knows."""
    return str(twin.get("connectionState")) == CONNECTED


def _own(properties: Json) -> dict[str, Any]:
    return {key: value for key, value in properties.items() if key not in ("$metadata", "$version")}


def _twin(device: str, module: str | None) -> tuple[str, str]:
    if module is None:
        return f"/twins/{_in_path(device)}", f"device {device!r}"
    return f"/twins/{_in_path(device)}/modules/{_in_path(module)}", f"module {module!r} of device {device!r}"


def _configuration(name: str) -> str:
    return f"/configurations/{_in_path(name)}"


def _in_path(name: str) -> str:
    return quote(name, safe="")


def _quoted(etag: str) -> str:
    return etag if etag.startswith(('"', "*")) else f'"{etag}"'
