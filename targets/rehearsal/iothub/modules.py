"""What an edge agent needs around each module: its image, its workload API, its address, and faults that strike it."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from targets.rehearsal.iothub import faults
from targets.rehearsal.iothub.create_options import Options, options_of
from targets.rehearsal.iothub.faults import Stain
from targets.rehearsal.iothub.ground import Ground
from targets.rehearsal.iothub.module_runs import ModuleRun, Ways
from targets.rehearsal.iothub.sas import HOST
from targets.rehearsal.iothub.workload_api import API_VERSION, SOCKET, WorkloadApi
from targets.rehearsal.workload import Mounts, PullCredential, Workload

if TYPE_CHECKING:
    from targets.rehearsal.iothub.device import EdgeDevice

logger = logging.getLogger(__name__)
_FOLDER: Final = "/var/lib/dray"
_USUAL_PORT: Final = 8080


@dataclass(slots=True)
class _Around:
    """Of one module."""

    api: WorkloadApi
    address: str
    image: str = ""
    stain: Stain = ""
    struck: bool = False


class Modules:
    """Of one device."""

    def __init__(self, device: "EdgeDevice", ground: Ground) -> None:
        self._device = device
        self._ground = ground
        self._around: dict[str, _Around] = {}
        self._runner = ground.runner(device.platform)

    async def pull(self, module: str, image: str, credential: PullCredential | None) -> str:
        """Bring an image here; its digest.

        Raises:
            PullRefused: It cannot be had, or a fault is in the way.
        """
        faults.at_a_pull(self._ground.strikes, self._key(module, image))
        return await self._ground.call(lambda: self._runner.pull(image, credential))

    async def made(self, name: str, spec: Mapping[str, Any], digest: str, changed: Callable[[], None]) -> ModuleRun:
        """A module that can be started."""
        around = await self._prepared(name, spec)
        around.image = spec["settings"]["image"]
        key = self._key(name, around.image)
        real = self._runner
        runner = faults.runner_for(self._ground.strikes, key, real)
        around.stain = faults.stain_for(self._ground.strikes, key)
        around.struck = bool(around.stain) or runner is not real
        ways = Ways(self._ground.call, lambda run: self._workload(run, name, spec), changed)
        return ModuleRun(name, spec, digest, runner, ways)

    async def gone(self, name: str) -> None:
        """A module is no more, nor its identity."""
        # At once, so that one of that name which is asked for meanwhile gets an identity of its own.
        self._device.edge_hub.forget(name)
        self._device.forget(name)
        self._ground.strikes.forget(self._device.name, name)
        around = self._around.pop(name, None)
        if around is not None:
            await around.api.close()
            self._ground.addresses.give_back(around.address)

    def stain(self, name: str) -> Stain:
        """How a fault spoils what the module says; empty for not at all."""
        around = self._around.get(name)
        return around.stain if around else ""

    def connected(self, name: str) -> bool:
        """Note that it is at the edge hub, and so sound where no fault struck it; whether the hub is to be cut now."""
        around = self._around.get(name)
        if around is None:
            return False
        key = self._key(name, around.image)
        if self._ground.strikes.at(key, "broker-cut"):
            return True
        if not around.struck:
            self._ground.strikes.serves(key)
        return False

    async def close(self) -> None:
        """Nothing runs any more."""
        for around in self._around.values():
            await around.api.close()

    async def _prepared(self, name: str, spec: Mapping[str, Any]) -> _Around:
        await self._device.opened()
        if name not in self._around:
            device = self._device
            number = hashlib.sha256(f"{device.name}/{name}".encode()).hexdigest()[:12]
            path = self._ground.sockets() / f"{number}.sock"
            api = WorkloadApi(path, lambda: device.identity(name), self._ground.hub.secret, device.authority())
            await api.open()
            self._around[name] = _Around(api, self._ground.take_address(_port_of(spec, options_of(spec["settings"]))))
        return self._around[name]

    def _workload(self, run: str, name: str, spec: Mapping[str, Any]) -> Workload:
        options, around, device = options_of(spec["settings"]), self._around[name], self._device
        volumes = {target: f"{device.name}-{volume}" for target, volume in options.volumes.items()}
        processes = self._runner.kind == "processes"
        if processes:
            # A container has a folder of its own there; what a process writes must not lie in this machine's.
            volumes.setdefault(_FOLDER, run)
        port = _port_of(spec, options)
        environment = {
            **({"DRAY_EDGE_FOLDER": _FOLDER} if processes else {}),
            **options.environment,
            **{key: _shown(each["value"]) for key, each in (spec.get("env") or {}).items()},
            "DRAY_HOST": around.address,
            **self._edge_environment(name),
        }
        mounts = Mounts({SOCKET: around.api.path}, volumes)
        return Workload(
            run, spec["settings"]["image"], around.address, (port,), environment, command=options.command,
            cpus=options.cpus, memory_mib=options.memory_mib, mounts=mounts, host_network=True,
        )  # fmt: skip

    def _edge_environment(self, name: str) -> dict[str, str]:
        """What an edge agent tells each module. Source: "Understand IoT Edge modules", Microsoft, and its agent."""
        identity = self._device.identity(name)
        return {
            "IOTEDGE_WORKLOADURI": f"unix://{SOCKET}",
            "IOTEDGE_DEVICEID": self._device.name,
            "IOTEDGE_MODULEID": name,
            "IOTEDGE_MODULEGENERATIONID": identity.generation if identity else "",
            "IOTEDGE_IOTHUBHOSTNAME": HOST,
            "IOTEDGE_GATEWAYHOSTNAME": self._device.edge_hub.address,
            "IOTEDGE_APIVERSION": API_VERSION,
            "IOTEDGE_AUTHSCHEME": "sasToken",
            "IOTEDGE_DEVICEPRODUCTINFO": "",
        }

    def _key(self, module: str, image: str) -> tuple[str, str, str]:
        return self._device.name, module, image


def _port_of(spec: Mapping[str, Any], options: Options) -> int:
    """Where the runtime in it would listen."""
    own = (spec.get("env") or {}).get("DRAY_PORT", {}).get("value")
    text = str(own or options.environment.get("DRAY_PORT") or _USUAL_PORT)
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text) < 1 << 16 else _USUAL_PORT


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
