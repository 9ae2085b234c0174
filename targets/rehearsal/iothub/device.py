"""One edge device: its agent, its edge hub, and what it knows of its twins while it is away from the cloud."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from packager.core.image import Platform
from targets.rehearsal.certificates import write_certificates
from targets.rehearsal.iothub import agent_methods, faults
from targets.rehearsal.iothub.agent import VERSION, Agent
from targets.rehearsal.iothub.agent import Ways as AgentWays
from targets.rehearsal.iothub.clock import now
from targets.rehearsal.iothub.device_facts import facts_of
from targets.rehearsal.iothub.edge_hub import EdgeHub, Surroundings
from targets.rehearsal.iothub.errors import HubError, no_module, not_connected
from targets.rehearsal.iothub.ground import Ground
from targets.rehearsal.iothub.hub import MANAGED_BY, SYSTEM
from targets.rehearsal.iothub.identities import AGENT, HUB, Identity
from targets.rehearsal.iothub.module_runs import Json, ModuleRun
from targets.rehearsal.iothub.modules import Modules
from targets.rehearsal.iothub.routes import Message, RouteInvalid
from targets.rehearsal.iothub.twins import check, difference, merged_with

logger = logging.getLogger(__name__)

_CUT_AFTER_S: Final = 0.2
_CUT_S: Final = 3.0


@dataclass(slots=True)
class _Known:
    """What a device knows of one twin."""

    desired: Json = field(default_factory=dict)
    desired_version: int = 0
    reported: Json = field(default_factory=dict)
    reported_version: int = 1


class EdgeDevice:
    """Lives in the hub's event loop.

    Attributes:
        online: Whether it reaches the cloud.
        struck: Whether a fault took it away.
    """

    def __init__(self, name: str, platform: Platform, ground: Ground, *, online: bool) -> None:
        self.name = name
        self.platform = platform
        self.online = online
        self.struck = False
        self._ground = ground
        self._known: dict[str, _Known] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()
        around = Surroundings(
            secret=ground.hub.secret,
            identity=self.identity,
            twin=self._twin,
            report=self.report,
            came=self._came,
            went=self._went,
            tampered=lambda module, method, status, payload: faults.stained_method(
                self.modules.stain(module), method, status, payload
            ),
            spoilt=self._spoilt,
            up=self._up,
        )
        self.edge_hub = EdgeHub(name, around)
        self.modules = Modules(self, ground)
        ways = AgentWays(
            self._desired_of_agent,
            self._identities,
            self.modules.pull,
            self._made,
            self.modules.gone,
            self._report_agent,
        )
        self.agent = Agent(name, facts_of(platform), ways)

    def begin(self) -> None:
        """Work from now on."""
        for module in SYSTEM:
            self._known[module] = _Known()
        self.agent.begin()
        if self.online:
            self.go_online()

    async def end(self) -> None:
        """End all that runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.agent.end()
        await self.edge_hub.close()
        await self.modules.close()

    def heard(self, module: str) -> None:
        """Desired properties changed in the cloud."""
        if self.online and self.identity(module) is not None:
            self._learn(module)

    def go_online(self) -> None:
        """The cloud can be reached: learn what is new there, tell what is new here."""
        self.online = True
        self._ground.hub.device(self.name).connect(True)
        for identity in list(self._ground.hub.modules(self.name)):
            known = self._known.setdefault(identity.module, _Known())
            self._learn(identity.module)
            patch = difference(identity.twin.reported.properties, known.reported)
            if patch and (identity.module in SYSTEM or known.reported):
                identity.twin.reported.merge(patch)
            identity.connect(identity.module in SYSTEM or self.edge_hub.session(identity.module).connected)
        self.edge_hub.flush()

    def go_offline(self) -> None:
        """The cloud cannot be reached; everything here goes on."""
        self.online = False
        self._ground.hub.device(self.name).connect(False)
        for identity in self._ground.hub.modules(self.name):
            identity.connect(False)

    def cut(self, seconds: float, *, after_s: float = 0.0) -> None:
        """Let the edge hub be away for so long."""
        self._begin(self._cut(seconds, after_s))

    def report(self, module: str, patch: Mapping[str, Any]) -> int:
        """Take reported properties of a module in; their version.

        Raises:
            HubError: They are not allowed.
        """
        given = faults.stained_report(self.modules.stain(module), patch)
        check({name: value for name, value in given.items() if not name.startswith("$")}, nulls=True)
        known = self._known.setdefault(module, _Known())
        identity = self.identity(module)
        if self.online and identity is not None:
            identity.twin.reported.merge(given)
            known.reported, known.reported_version = identity.twin.reported.properties, identity.twin.reported.version
        else:
            known.reported = merged_with(known.reported, given)
            known.reported_version += 1
        return known.reported_version

    async def call(self, module: str, method: str, payload: Any, *, connect_s: int, answer_s: int) -> tuple[int, Any]:
        """What a module's direct method answers.

        Raises:
            HubError: It cannot be reached, or takes too long.
        """
        if not self.online:
            raise not_connected(connect_s)
        if module == AGENT:
            return await agent_methods.call(self.agent, method, payload)
        if self.identity(module) is None:
            raise no_module(self.name, module)
        session = self.edge_hub.session(module)
        return await session.call(method, payload, connect_s=connect_s, answer_s=answer_s)

    async def opened(self) -> EdgeHub:
        """The edge hub, which listens once it is needed.

        Raises:
            OSError: It cannot.
        """
        async with self._opening:
            if not self.edge_hub.address:
                await self.edge_hub.open(self._ground.broker_address(self.name), self._context())
        return self.edge_hub

    def forget(self, module: str) -> None:
        """A module is no more; its identity goes with it, as its agent made it."""
        self._known.pop(module, None)
        identity = self.identity(module)
        if identity is not None and identity.managed_by == MANAGED_BY:
            self._ground.hub.remove(self.name, module)

    def authority(self) -> str:
        """PEM of whom its modules trust."""
        return (self._folder() / "ca.pem").read_text(encoding="ascii")

    def _learn(self, module: str) -> None:
        """Take the desired properties of the cloud."""
        desired = self._ground.hub.module(self.name, module).twin.desired
        known = self._known.setdefault(module, _Known())
        if desired.version == known.desired_version:
            return
        patch = {**difference(known.desired, desired.properties), "$version": desired.version}
        known.desired, known.desired_version = desired.properties, desired.version
        if module == AGENT:
            self.agent.wake()
        elif module == HUB:
            self._configure(desired.properties, desired.version)
        else:
            self.edge_hub.session(module).tell_desired(patch)

    def _configure(self, desired: Mapping[str, Any], version: int) -> None:
        try:
            self.edge_hub.configure(desired)
            status = {"code": 200, "description": ""}
        except (RouteInvalid, TypeError, AttributeError) as error:
            status = {"code": 400, "description": f"Error while parsing desired properties: {error}"}
        reported = {
            "schemaVersion": "1.2",
            "version": VERSION,
            "lastDesiredVersion": version,
            "lastDesiredStatus": status,
        }
        self.report(HUB, reported)

    def identity(self, module: str) -> Identity | None:
        """A module's; None where the device has none of that name."""
        try:
            return self._ground.hub.module(self.name, module)
        except HubError:
            return None

    def _twin(self, module: str) -> tuple[Json, Json]:
        known = self._known.setdefault(module, _Known())
        desired = {**known.desired, "$version": known.desired_version}
        return desired, {**known.reported, "$version": known.reported_version}

    def _desired_of_agent(self) -> tuple[Json, int]:
        known = self._known[AGENT]
        return known.desired, known.desired_version

    def _identities(self) -> tuple[str, ...]:
        if not self.online:
            return ()
        known = self._ground.hub.modules(self.name)
        return tuple(each.module for each in known if each.managed_by == MANAGED_BY and each.module not in SYSTEM)

    def _report_agent(self, patch: Mapping[str, Any]) -> None:
        try:
            self.report(AGENT, patch)
        except HubError as error:
            logger.warning("the agent of %s cannot report: %s", self.name, error.message)

    async def _made(self, name: str, spec: Mapping[str, Any], digest: str) -> ModuleRun:
        return await self.modules.made(name, spec, digest, self.agent.changed)

    def _came(self, module: str) -> None:
        self._note_client(module, connected=True)
        if self.modules.connected(module):
            self.cut(_CUT_S, after_s=_CUT_AFTER_S)

    def _went(self, module: str) -> None:
        self._note_client(module, connected=False)

    def _note_client(self, module: str, *, connected: bool) -> None:
        identity = self.identity(module)
        if identity is not None and self.online:
            identity.connect(connected)
        moment = "lastConnectedTimeUtc" if connected else "lastDisconnectedTimeUtc"
        status = {"status": "Connected" if connected else "Disconnected", moment: now()}
        self.report(HUB, {"clients": {f"{self.name}/{module}": status}})

    def _spoilt(self, message: Message) -> Message:
        body = faults.stained_body(self.modules.stain(message.module), message.output, message.body)
        return Message(message.device, message.module, message.output, body, message.properties, message.system)

    def _up(self, message: Message) -> bool:
        if self.online:
            self._ground.upstream.add(message)
        return self.online

    async def _cut(self, seconds: float, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.edge_hub.close()
        await asyncio.sleep(seconds)
        await self.edge_hub.reopen()

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _context(self) -> ssl.SSLContext:
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        certificate, key = folder / "hub.pem", folder / "hub.key"
        write_certificates(folder / "ca.pem", certificate, key, address=self._ground.broker_address(self.name))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def _folder(self) -> Path:
        return self._ground.folder / "devices" / self.name
