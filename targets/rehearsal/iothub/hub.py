"""The hub: identities, twins and automatic deployments, and who hears of their changes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from targets.rehearsal.iothub.configurations import Configuration, configuration_of, content_of, standing_for
from targets.rehearsal.iothub.errors import HubError, invalid, no_device, no_module
from targets.rehearsal.iothub.identities import AGENT, HUB, Identity, check_id
from targets.rehearsal.iothub.manifests import check_content, properties_of
from targets.rehearsal.iothub.queries import Query, query_of

Json = dict[str, Any]
# Told the device and the module whose desired properties changed.
Heard = Callable[[str, str], None]

SYSTEM: Final = (AGENT, HUB)
MANAGED_BY: Final = "IotEdge"
_MOST_DEVICES: Final = 1000


class Hub:
    """All that the service keeps; used in one event loop alone.

    Attributes:
        secret: What all keys are derived from.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._devices: dict[str, Identity] = {}
        self._modules: dict[str, dict[str, Identity]] = {}
        self._configurations: dict[str, Configuration] = {}
        self._applied: dict[str, dict[str, Json]] = {}
        self._created = 0
        self._listeners: list[Heard] = []

    def listen(self, heard: Heard) -> None:
        """Be told of changes of desired properties."""
        self._listeners.append(heard)

    def devices(self) -> Iterator[Identity]:
        """All of them."""
        return iter(tuple(self._devices.values()))

    def modules(self, device: str) -> Iterator[Identity]:
        """Of a device."""
        self.device(device)
        return iter(tuple(self._modules[device].values()))

    def device(self, device: str) -> Identity:
        """Raises HubError: there is none."""
        if device not in self._devices:
            raise no_device(device)
        return self._devices[device]

    def module(self, device: str, module: str) -> Identity:
        """Raises HubError: there is none."""
        self.device(device)
        if module not in self._modules[device]:
            raise no_module(device, module)
        return self._modules[device][module]

    def identity(self, device: str, module: str = "") -> Identity:
        """Of a device, or of a module of one.

        Raises:
            HubError: There is none.
        """
        return self.module(device, module) if module else self.device(device)

    def add_device(self, name: str, *, edge: bool) -> Identity:
        """A new one; an edge device has its two system modules at once.

        Raises:
            HubError: There is one, or it cannot be called so.
        """
        if name in self._devices:
            raise HubError("DeviceAlreadyExists", f"A device with ID '{name}' is already registered.")
        if len(self._devices) >= _MOST_DEVICES:
            raise HubError("IotHubQuotaExceeded", f"a rehearsal has at most {_MOST_DEVICES} devices")
        self._devices[check_id(name)] = Identity(name, edge=edge)
        self._modules[name] = {}
        for module in SYSTEM if edge else ():
            self.add_module(name, module, managed_by=MANAGED_BY)
        self.settle([self._devices[name]])
        return self._devices[name]

    def add_module(self, device: str, module: str, *, managed_by: str = "") -> Identity:
        """A new one of a device.

        Raises:
            HubError: There is one, or it cannot be called so.
        """
        self.device(device)
        if module in self._modules[device]:
            raise HubError(
                "ModuleAlreadyExistsOnDevice", f"A module with ID '{module}' already exists on device {device}."
            )
        self._modules[device][check_id(module)] = Identity(device, module, managed_by=managed_by)
        return self._modules[device][module]

    def remove(self, device: str, module: str = "") -> None:
        """A device with its modules, or a module.

        Raises:
            HubError: There is none, or it belongs to an edge device's runtime.
        """
        self.identity(device, module)
        if module in SYSTEM:
            raise invalid(f"Module {module} of an edge device cannot be removed")
        if module:
            del self._modules[device][module]
            return
        for table in (self._devices, self._modules, self._applied):
            table.pop(device, None)

    def patched(self, device: str, module: str) -> None:
        """A twin's desired properties, or tags, were changed."""
        self._tell(device, module)
        if not module:
            self.settle([self.device(device)])

    def apply(self, device: str, body: Mapping[str, Any]) -> None:
        """Take modules for one device.

        Raises:
            HubError: They are not allowed.
        """
        found = self.device(device)
        if not found.edge:
            raise invalid(f"Device {device} is not an IoT Edge device")
        if unknown := set(body) - {"modulesContent", "deviceContent", "moduleContent"}:
            raise invalid(f"the content has an unknown field {min(unknown)!r}")
        check_content(body.get("modulesContent"), layered_allowed=False)
        content = {}
        for name, given in body["modulesContent"].items():
            known = self._modules[device].get(name)
            content[name] = properties_of(given, known.twin.desired.properties if known else None)
        self._give(device, content)
        if device in self._applied:
            # What an automatic deployment gives stands above it, there as here.
            del self._applied[device]
            self.settle([found])

    def configurations(self) -> Iterator[Configuration]:
        """All automatic deployments."""
        return iter(tuple(self._configurations.values()))

    def configuration(self, id: str) -> Configuration:  # noqa: A002 - the field's own name
        """Raises HubError: there is none."""
        if id not in self._configurations:
            raise HubError("ConfigurationNotFound", f"Configuration {id} does not exist")
        return self._configurations[id]

    def put_configuration(self, id: str, body: Mapping[str, Any]) -> tuple[Configuration, bool]:  # noqa: A002
        """A new one, or one that is changed; whether it is new.

        Raises:
            HubError: It is not allowed.
        """
        known = self._configurations.get(id)
        if known is None:
            self._created += 1
            self._configurations[id] = configuration_of(id, body, self._created)
        else:
            known.change(body)
        self.settle(self._devices.values())
        return self._configurations[id], known is None

    def remove_configuration(self, id: str) -> None:  # noqa: A002
        """Forget it; devices keep its modules where nothing else is for them.

        Raises:
            HubError: There is none.
        """
        self.configuration(id)
        del self._configurations[id]
        self.settle(self._devices.values())

    def settle(self, devices: Iterable[Identity]) -> None:
        """Give devices the modules that automatic deployments have for them."""
        for device in list(devices):
            _, layers = standing_for(device, self._configurations.values())
            content = content_of(layers)
            if layers and self._applied.get(device.device) != content:
                self._applied[device.device] = content
                self._give(device.device, content)
            elif not layers:
                self._applied.pop(device.device, None)

    def standing(self, device: Identity) -> dict[str, Json]:
        """The configurations that are for a device, as its twin shows them."""
        targeted, layers = standing_for(device, self._configurations.values())
        return {each.id: {"status": "Applied" if each in layers else "Targeted"} for each in targeted}

    def shown_twin(self, identity: Identity) -> Json:
        """A twin, as the service shows it."""
        device = self.device(identity.device)
        marked = self.standing(device) if identity.module in ("", AGENT) else {}
        return identity.shown_twin(marked)

    def shown_configuration(self, configuration: Configuration) -> Json:
        """An automatic deployment with its counts, as the service shows it."""
        counts = dict.fromkeys(("targetedCount", "appliedCount", "reportedSuccessfulCount", "reportedFailedCount"), 0)
        for device in self._devices.values():
            status = self.standing(device).get(configuration.id, {}).get("status")
            counts["targetedCount"] += status is not None
            if status == "Applied":
                counts["appliedCount"] += 1
                agent = self.module(device.device, AGENT).twin
                reported = agent.reported.properties
                if reported.get("lastDesiredVersion") == agent.desired.version:
                    code = reported.get("lastDesiredStatus", {}).get("code")
                    counts["reportedSuccessfulCount" if code == 200 else "reportedFailedCount"] += 1
        own = {name: len(self._metric(text)) for name, text in configuration.metrics.items()}
        return configuration.shown(counts, own)

    def ask(self, query: Query) -> list[Json]:
        """What a query finds."""
        return query.rows(self._twins(query))

    def check_metric(self, text: str) -> None:
        """Raises HubError: a metric's query cannot be asked."""
        query_of(text)

    def _metric(self, text: str) -> list[Json]:
        """A metric asks devices of what their edge agent reports."""
        query = query_of(text)
        if query.source != "devices":
            return self.ask(query)
        agents = [self._as_device(device) for device in self._devices.values() if device.edge]
        return query.rows(agents)

    def _as_device(self, device: Identity) -> Json:
        agent = self.module(device.device, AGENT)
        return {**self.shown_twin(device), "properties": self.shown_twin(agent)["properties"]}

    def _twins(self, query: Query) -> Iterator[Json]:
        for device in self._devices.values():
            if query.source == "devices":
                yield self.shown_twin(device)
            else:
                yield from (self.shown_twin(module) for module in self._modules[device.device].values())

    def _give(self, device: str, content: Mapping[str, Json]) -> None:
        """New desired properties for modules, those that the agent shall run among them."""
        for name, properties in content.items():
            known = self._modules[device].get(name) or self.add_module(device, name, managed_by=MANAGED_BY)
            known.twin.put({"properties": {"desired": properties}})
        wanted = content.get(AGENT, {}).get("modules", {})
        for name in wanted:
            if name not in self._modules[device]:
                self.add_module(device, name, managed_by=MANAGED_BY)
        # The agent last: a module's properties are there before it starts.
        for name in sorted(content, key=lambda each: each == AGENT):
            self._tell(device, name)

    def _tell(self, device: str, module: str) -> None:
        for heard in self._listeners:
            heard(device, module)
