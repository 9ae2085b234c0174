"""The edge agent of one device: makes the modules that run those that are desired, and reports them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from targets.rehearsal.iothub.clock import now
from targets.rehearsal.iothub.create_options import OptionsRefused, options_of
from targets.rehearsal.iothub.module_runs import Json, ModuleRun
from targets.rehearsal.iothub.twins import difference
from targets.rehearsal.workload import PullCredential, PullRefused

logger = logging.getLogger(__name__)

VERSION: Final = {"version": "1.6.0", "build": "rehearsal", "commit": "rehearsal"}
_RETRY_S: Final = 2.0
_REPORT_S: Final = 0.05
_OK, _FAILED, _BAD = 200, 500, 400


@dataclass(frozen=True, slots=True)
class Ways:
    """What an edge agent asks its device for.

    Attributes:
        desired: Its desired properties and their version.
        pull: An image for a module; its digest. Raises PullRefused.
        identities: Modules that have an identity of an agent's at the hub, as far as that can be asked.
        made: A module of a name, a specification and a digest, with all that it needs around it.
        gone: A module is no more.
        report: A change of its reported properties.
    """

    desired: Callable[[], tuple[Json, int]]
    identities: Callable[[], Collection[str]]
    pull: Callable[[str, str, PullCredential | None], Awaitable[str]]
    made: Callable[[str, Mapping[str, Any], str], Awaitable[ModuleRun]]
    gone: Callable[[str], Awaitable[None]]
    report: Callable[[Mapping[str, Any]], None]


class Agent:
    """Of one device.

    Attributes:
        runs: Modules by name.
    """

    def __init__(self, device: str, facts: Mapping[str, Any], ways: Ways) -> None:
        """Nothing runs yet.

        Args:
            facts: Of the machine, as reported: ``systemInfo`` and ``runtime.platform``.
        """
        self.runs: dict[str, ModuleRun] = {}
        self._device = device
        self._facts = facts
        self._ways = ways
        self._wake = asyncio.Event()
        self._reporting: asyncio.TimerHandle | None = None
        self._reported: Json = {}
        self._status: Json = {"code": _OK, "description": ""}
        self._version = 0
        self._started = now()
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Work from now on."""
        self._task = asyncio.create_task(self._work())
        self.changed()

    async def end(self) -> None:
        """End with all modules, at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._reporting is not None:
            self._reporting.cancel()
        await asyncio.gather(*(run.remove() for run in self.runs.values()), return_exceptions=True)

    def wake(self) -> None:
        """Desired properties changed."""
        self._wake.set()

    def changed(self) -> None:
        """Something is to be reported, soon."""
        if self._reporting is None:
            self._reporting = asyncio.get_running_loop().call_later(_REPORT_S, self._report)

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                again = await self._reconcile()
            except Exception:  # the agent lives on: its log has the traceback, as a device's would
                logger.exception("unexpected, in the edge agent of %s", self._device)
                again = True
            try:
                await asyncio.wait_for(self._wake.wait(), _RETRY_S if again else None)
            except TimeoutError:
                continue

    async def _reconcile(self) -> bool:
        """One pass over all modules; whether something failed, and is to be tried again."""
        for name in {*self.runs, *self._ways.identities()} - set(self._wanted()):
            await self._let_go(name)
        desired, version = self._ways.desired()
        wanted = self._wanted()
        order = sorted(wanted, key=lambda each: (wanted[each].get("startupOrder", 1 << 32), each))
        came = [await self._bring(name, wanted[name], desired) for name in order]
        failures = [each for each in came if each]
        self._version = version
        words = f"One or more errors occurred. {' '.join(f'({each})' for each in failures)}" if failures else ""
        self._status = {"code": _FAILED if failures else _OK, "description": words}
        self.changed()
        return bool(failures)

    async def _let_go(self, name: str) -> None:
        """End a module. It is reported until its identity is gone too, which stays where it came to be wanted again."""
        if name in self.runs:
            await self.runs[name].remove()
        if name not in self._wanted():
            await self._ways.gone(name)
        self.runs.pop(name, None)
        self.changed()

    def _wanted(self) -> Mapping[str, Any]:
        desired, _ = self._ways.desired()
        return desired.get("modules") or {}

    async def _bring(self, name: str, spec: Mapping[str, Any], desired: Mapping[str, Any]) -> str:
        """Make one module what it shall be; what went wrong, empty for nothing."""
        known = self.runs.get(name)
        if known is not None and known.spec == spec:
            return ""
        image = spec["settings"]["image"]
        try:
            options_of(spec["settings"])
            digest = await self._ways.pull(name, image, _credential_for(image, desired))
        except (PullRefused, OptionsRefused) as refusal:
            verb = "Create" if known is None else "Prepare update"
            words = f"Could not pull image {image}: " if isinstance(refusal, PullRefused) else ""
            return f"Error calling {verb} module {name}: {words}{refusal}"
        if known is not None:
            await self.runs.pop(name).remove()
        try:
            run = self.runs[name] = await self._ways.made(name, spec, digest)
        except OSError as error:  # no address, port or socket for it
            return f"Error calling Create module {name}: {error}"
        if spec.get("status", "running") == "running":
            self._number += 1
            run.start(f"{self._device}-{name}-{self._number}")
        return ""

    def _report(self) -> None:
        self._reporting = None
        new = self._document()
        patch = difference(self._reported, new)
        self._reported = new
        if patch:
            self._ways.report(patch)

    def _document(self) -> Json:
        desired, _ = self._ways.desired()
        system = desired.get("systemModules") or {}
        usual = {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.6"}}
        running = {
            "runtimeStatus": "running",
            "statusDescription": "running",
            "exitCode": 0,
            "lastStartTimeUtc": self._started,
            "lastExitTimeUtc": "0001-01-01T00:00:00Z",
        }
        counted = {"restartCount": 0, "lastRestartTimeUtc": "0001-01-01T00:00:00Z"}
        modules = {"edgeAgent": {**(system.get("edgeAgent") or usual), **running}}
        if "edgeHub" in system:
            modules["edgeHub"] = {**system["edgeHub"], **running, **counted}
        settings = dict((desired.get("runtime") or {}).get("settings") or {})
        settings.pop("registryCredentials", None)
        return {
            "schemaVersion": "1.1",
            "version": VERSION,
            "lastDesiredVersion": self._version,
            "lastDesiredStatus": self._status,
            "systemInfo": self._facts["systemInfo"],
            "runtime": {"type": "docker", "platform": self._facts["platform"], "settings": settings},
            "systemModules": modules,
            "modules": {name: run.reported() for name, run in sorted(self.runs.items())},
        }


def _credential_for(image: str, desired: Mapping[str, Any]) -> PullCredential | None:
    """Of the registry that an image is named after."""
    registries = ((desired.get("runtime") or {}).get("settings") or {}).get("registryCredentials") or {}
    host = image.partition("/")[0]
    for given in registries.values():
        address = given["address"].removeprefix("https://").removeprefix("http://").rstrip("/")
        if address == host:
            return PullCredential(address, given["username"], given["password"])
    return None
