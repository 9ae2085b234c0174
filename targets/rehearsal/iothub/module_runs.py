"""One module on a device: its container from start to end, restarted as its policy says."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from targets.rehearsal.iothub.clock import NEVER, now, shown
from targets.rehearsal.workload import Runner, Workload, WorkloadStatus

logger = logging.getLogger(__name__)
T = TypeVar("T")
Json = dict[str, Any]

# Twenty times shorter than an edge agent's: 10 s, doubled with each restart up to 5 minutes.
BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 15.0
# One that lived so long begins anew.
_WELL_S: Final = 3.0
_LOOK_S: Final = 0.1
_SLOW_LOOK_S: Final = 0.5
_YOUNG_S: Final = 10.0
GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Ways:
    """What a module's run asks its device for.

    Attributes:
        call: Something that blocks, in a thread.
        workload: The container for the run of an id.
        changed: To be told of each change of its state.
    """

    call: Callable[[Callable[[], Any]], Awaitable[Any]]
    workload: Callable[[str], Workload]
    changed: Callable[[], None]


@dataclass(slots=True)
class State:
    """What the agent reports of it."""

    runtime: str = "unknown"
    description: str = ""
    exit_code: int = 0
    started: str = NEVER
    ended: str = NEVER
    restarted: str = NEVER
    restarts: int = 0
    run: str = ""
    previous: str = ""
    number: int = field(default=0, repr=False)


class ModuleRun:
    """From its creation to its removal."""

    def __init__(self, name: str, spec: Mapping[str, Any], digest: str, runner: Runner, ways: Ways) -> None:
        """Nothing runs yet.

        Args:
            spec: As desired properties have it.
            digest: Of the image that was pulled.
        """
        self.name = name
        self.spec = spec
        self.state = State()
        self._digest = digest
        self._runner = runner
        self._ways = ways
        self._quit = asyncio.Event()
        self._again = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, run: str) -> None:
        """Let it run.

        Args:
            run: By which its runs are called; never used twice.
        """
        self._quit = asyncio.Event()
        self._task = asyncio.create_task(self._live(run))

    async def stop(self) -> None:
        """Let it finish, and end."""
        self._quit.set()
        if self.state.run:
            await self._ways.call(lambda: self._runner.stop(self.state.run, grace_s=GRACE_S))
        if self._task is not None:
            await self._task
        self.state.runtime = "stopped"

    async def remove(self) -> None:
        """End it, with all that is left of it."""
        await self.stop()
        for run in (self.state.run, self.state.previous):
            if run:
                await self._ways.call(lambda run=run: self._runner.remove(run))  # type: ignore[misc]

    async def kill(self) -> None:
        """End it as a bad moment would; its policy says whether it comes again."""
        if self.state.run:
            await self._ways.call(lambda: self._runner.stop(self.state.run, grace_s=0))

    async def restart(self) -> None:
        """Stop it, and let it run again whatever its policy says."""
        self._again.set()
        if self.state.run:
            await self._ways.call(lambda: self._runner.stop(self.state.run, grace_s=GRACE_S))

    async def log(self, tail: int | None) -> str:
        """Of its present run; of the last one while it waits."""
        if not self.state.run:
            return ""
        return str(await self._ways.call(lambda: self._runner.logs(self.state.run, tail=tail)))

    def reported(self) -> Json:
        """As the agent's reported properties have it."""
        state, spec = self.state, self.spec
        settings = {"image": spec["settings"]["image"], "imageHash": self._digest}
        options = {name: value for name, value in spec["settings"].items() if name != "image"}
        return {
            "type": spec.get("type", "docker"),
            "status": spec.get("status", "running"),
            "restartPolicy": spec.get("restartPolicy", "always"),
            "imagePullPolicy": spec.get("imagePullPolicy", "on-create"),
            **({"version": spec["version"]} if "version" in spec else {}),
            "settings": {**settings, **options},
            "env": dict(spec.get("env") or {}),
            "runtimeStatus": state.runtime,
            "statusDescription": state.description,
            "exitCode": state.exit_code,
            "lastStartTimeUtc": state.started,
            "lastExitTimeUtc": state.ended,
            "restartCount": state.restarts,
            "lastRestartTimeUtc": state.restarted,
        }

    async def _live(self, run: str) -> None:
        backoff_s = BACKOFF_S
        while not self._quit.is_set():
            began = asyncio.get_running_loop().time()
            status = await self._once(f"{run}-{self.state.number}")
            if self._quit.is_set() or not self._comes_again(status):
                self._ways.changed()
                return
            if asyncio.get_running_loop().time() - began >= _WELL_S:
                backoff_s = BACKOFF_S
            self.state.runtime = "backoff"
            self._ways.changed()
            await self._pause(0 if self._again.is_set() else backoff_s)
            self._again.clear()
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)
            if not self._quit.is_set():
                self.state.restarts += 1
                self.state.restarted = now()

    async def _once(self, run: str) -> WorkloadStatus:
        """One run of it; how it ended."""
        state = self.state
        oldest, state.previous, state.run = state.previous, state.run, run
        state.number += 1
        if oldest:
            await self._ways.call(lambda: self._runner.remove(oldest))
        await self._ways.call(lambda: self._runner.start(self._ways.workload(run)))
        state.started, state.runtime, state.description = now(), "running", "running"
        self._ways.changed()
        if self._quit.is_set():
            # It was to end while it started, and whoever ended it may have found nothing to stop.
            await self._ways.call(lambda: self._runner.stop(run, grace_s=0))
        began = asyncio.get_running_loop().time()
        while True:
            status: WorkloadStatus = await self._ways.call(lambda: self._runner.status(run))
            if status.state == "terminated":
                break
            young = asyncio.get_running_loop().time() - began < _YOUNG_S
            await self._pause(_LOOK_S if young else _SLOW_LOOK_S, even_so=self._quit.is_set())
        state.exit_code = status.exit_code if status.exit_code is not None else 1
        state.ended = shown(status.finished_at) if status.finished_at else now()
        state.runtime = "failed" if state.exit_code else "stopped"
        state.description = f"Exited ({state.exit_code}){' OOMKilled' if status.reason == 'OOMKilled' else ''}"
        return status

    def _comes_again(self, status: WorkloadStatus) -> bool:
        if self._again.is_set():
            return True
        policy = self.spec.get("restartPolicy", "always")
        return policy == "always" or (policy in ("on-failure", "on-unhealthy") and status.exit_code != 0)

    async def _pause(self, seconds: float, *, even_so: bool = False) -> None:
        """So long, or until it shall end.

        Args:
            even_so: Although it shall end.
        """
        if even_so:
            await asyncio.sleep(seconds)
            return
        try:
            await asyncio.wait_for(self._quit.wait(), seconds)
        except TimeoutError:
            pass
