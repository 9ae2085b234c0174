"""What the devices of a rehearsal share: the hub, the runner, addresses, threads and folders of this machine."""

import asyncio
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from packager.core.image import Platform
from targets.rehearsal.addresses import Addresses, PortTaken
from targets.rehearsal.iothub.edge_hub import PORT
from targets.rehearsal.iothub.faults import Strikes
from targets.rehearsal.iothub.hub import Hub
from targets.rehearsal.iothub.upstream import Upstream
from targets.rehearsal.workload import OtherMachines, Runner
from targets.rehearsal.world import World

T = TypeVar("T")
NETWORK: Final = "127.79"
_THREADS: Final = 16


class Ground:
    """One for all devices."""

    def __init__(self, world: World, hub: Hub) -> None:
        self.world = world
        self.hub = hub
        self.folder = world.folder
        self.upstream = Upstream()
        self.strikes = Strikes(world.faults)
        self.addresses = Addresses(seed=hashlib.sha256(os.fsencode(world.folder)).hexdigest(), network=NETWORK)
        self._brokers: dict[str, str] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="device")
        self._sockets: Path | None = None

    def runner(self, platform: Platform) -> Runner:
        """What runs modules on a device of a platform."""
        runner = self.world.runner
        return runner.on(platform) if isinstance(runner, OtherMachines) else runner

    async def call(self, work: Callable[[], T]) -> T:
        """What a blocking call gives, out of a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def broker_address(self, device: str) -> str:
        """Where a device's edge hub listens; always the same.

        Raises:
            OSError: No address is free.
        """
        if device not in self._brokers:
            self._brokers[device] = self.take_address(PORT)
        return self._brokers[device]

    def take_address(self, port: int) -> str:
        """A loopback address on which a port is free.

        Raises:
            OSError: There is none.
        """
        try:
            return self.addresses.take(None, (port,))
        except PortTaken as error:
            raise OSError(str(error)) from error

    def sockets(self) -> Path:
        """A folder of a short name, for a system takes no long ones for sockets; of this user alone."""
        if self._sockets is None:
            number = hashlib.sha256(os.fsencode(os.path.realpath(self.folder))).hexdigest()[:12]
            self._sockets = _own_folder(Path(tempfile.gettempdir(), f"dray-{number}"))
        return self._sockets

    def close(self) -> None:
        """Nothing runs any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.addresses.close()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)


def _own_folder(path: Path) -> Path:
    """One that nobody else can look into; that of a killed stand-in of the same folder is taken over."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and stat.S_IMODE(found.st_mode) == 0o700
        return path if ours else Path(tempfile.mkdtemp(prefix="dray-"))
    return path
