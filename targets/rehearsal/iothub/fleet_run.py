"""The devices that run in a rehearsal, and how many deployments that is."""

import asyncio
import platform
from collections.abc import Iterator
from typing import Final

from packager.core.image import Platform
from targets.rehearsal.iothub.device import EdgeDevice
from targets.rehearsal.iothub.errors import no_device
from targets.rehearsal.iothub.fleet import BASE, FLEET, Fitting
from targets.rehearsal.iothub.ground import Ground
from targets.rehearsal.iothub.hub import Hub
from targets.rehearsal.iothub.identities import AGENT

_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class FleetRun:
    """Begins with the event loop."""

    def __init__(self, hub: Hub, ground: Ground) -> None:
        self._hub = hub
        self._ground = ground
        self._devices: dict[str, EdgeDevice] = {}
        hub.listen(self._heard)

    def begin(self) -> None:
        """Let all work."""
        for fitting in FLEET:
            self._add(fitting)

    async def end(self) -> None:
        """End all that runs."""
        await asyncio.gather(*(each.end() for each in self._devices.values()))
        self._ground.close()

    def running(self, device: str) -> EdgeDevice | None:
        """A device that exists here; None for one that is but registered."""
        return self._devices.get(device)

    def having(self, module: str) -> Iterator[EdgeDevice]:
        """Devices whose agents are told to run a module."""
        for device in self._devices.values():
            if module in self._wanted(device.name):
                yield device

    def known(self, device: str) -> EdgeDevice:
        """Raises HubError: there is none."""
        if device not in self._devices:
            raise no_device(device)
        return self._devices[device]

    def before_apply(self, device: str) -> None:
        """A fault may take the device away now."""
        found = self._devices.get(device)
        if found is not None and found.online and self._ground.world.faults.due("offline"):
            found.struck = True
            found.go_offline()

    def look(self) -> None:
        """Bring back what a fault took away that does not hold any more."""
        for device in self._devices.values():
            if device.struck and not self._ground.world.faults.holds("offline"):
                device.struck = False
                device.go_online()

    def count(self) -> None:
        """Tell how many deployments there are: modules on devices, and automatic ones but the rehearsal's own."""
        modules = sum(len(self._wanted(device.device)) for device in self._hub.devices() if device.edge)
        self._ground.world.held(modules + sum(each.id != BASE for each in self._hub.configurations()))

    def _wanted(self, device: str) -> dict[str, object]:
        twin = self._hub.module(device, AGENT).twin
        return dict(twin.desired.properties.get("modules") or {})

    def _heard(self, device: str, module: str) -> None:
        if device in self._devices:
            self._devices[device].heard(module)

    def _add(self, fitting: Fitting) -> None:
        own = Platform.parse(_MACHINES.get(platform.machine().lower(), "amd64"))
        device = EdgeDevice(fitting.name, fitting.platform or own, self._ground, online=fitting.online)
        self._devices[fitting.name] = device
        self._devices[fitting.name].begin()
