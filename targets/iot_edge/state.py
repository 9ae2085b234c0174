"""A device as the hub shows it: its modules, what dray wrote into its tags, its processor, and whether it is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packager.core.errors import DeploymentMissing, DeviceMissing, NameTaken
from packager.core.image import Platform
from targets.iot_edge.module import routes_of, wanted_of
from targets.iot_edge.names import module_name
from targets.iot_edge.record import TAG, Record, Served
from targets.kit.iothub.hub import AGENT, HUB, Hub, desired_of, desired_version, is_connected, reported_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Device:
    """A device with one deployment of dray's, or none yet.

    Attributes:
        name: Of the deployment.
        etag: Of the device's twin, which holds the tags.
        records: Of all of dray's deployments there, by their module.
        agent: The twin of ``$edgeAgent``.
        present: Desired properties by module: of the two of the system, and of the deployment's own.
        reported: Reported properties of the deployment's own module.
    """

    name: str
    device: str
    etag: str
    records: Mapping[str, Record]
    agent: Mapping[str, Any] = field(repr=False)
    present: Mapping[str, Json] = field(repr=False)
    reported: Json = field(default_factory=dict, repr=False)

    @property
    def module(self) -> str:
        """The deployment's module."""
        return module_name(self.name)

    @property
    def record(self) -> Record | None:
        """Of the deployment; None where there is none."""
        return self.records.get(self.module)

    @property
    def connected(self) -> bool:
        """Whether the device's agent is there now."""
        return is_connected(self.agent)

    @property
    def entry(self) -> Json | None:
        """The module among those that the device shall have."""
        found = (self.present[AGENT].get("modules") or {}).get(self.module)
        return dict(found) if found else None

    @property
    def reported_module(self) -> Json:
        """The module as the device's agent reports it; empty where it does not."""
        return dict((reported_of(self.agent).get("modules") or {}).get(self.module) or {})

    @property
    def platform(self) -> Platform | None:
        """What the device's images must be for; None where it has never said."""
        return platform_of(self.agent)

    @property
    def version(self) -> int:
        """Of the manifest."""
        return desired_version(self.agent)

    def routes_before(self) -> tuple[str, ...]:
        """Names of the routes of the releases that the record knows."""
        record = self.record
        known = (record.live, record.trial) if record else ()
        return tuple(sorted({route for served in known if served for route in routes_of(wanted_of(self.name, served))}))


def read(hub: Hub, device: str, name: str) -> Device:
    """A device as it is now.

    Raises:
        DeviceMissing: There is none, or it does not run IoT Edge.
        NameTaken: It has a module of this name that is not dray's.
        DeploymentFailed: Its tags cannot be read.
    """
    twin = hub.twin(device)
    try:
        agent, router = hub.twin(device, AGENT), hub.twin(device, HUB)
    except DeploymentMissing as error:
        raise DeviceMissing(
            f"device {device!r} does not run IoT Edge",
            hint="az iot hub device-identity create --edge-enabled makes one",
        ) from error
    module = module_name(name)
    records = records_of(twin)
    present: dict[str, Json] = {AGENT: desired_of(agent), HUB: desired_of(router)}
    reported: Json = {}
    if own := hub.find_twin(device, module):
        present[module], reported = desired_of(own), reported_of(own)
    found = Device(name, device, str(twin.get("etag") or ""), records, agent, present, reported)
    _refuse_foreign(found)
    return found


def records_of(twin: Mapping[str, Any]) -> dict[str, Record]:
    """What dray wrote into a device's tags, by module."""
    where = f"device {twin.get('deviceId')!r}"
    tags = (twin.get("tags") or {}).get(TAG) or {}
    return {module: Record.of_tag(tag, where) for module, tag in sorted(tags.items()) if isinstance(tag, dict)}


def places_of(hub: Hub, name: str | None = None, device: str | None = None) -> Iterator[tuple[str, str]]:
    """Device and name of each deployment to one device; of one name, or of one device, where that is given."""
    twins = [hub.twin(device)] if device else hub.query(f"SELECT * FROM devices WHERE is_defined(tags.{TAG})")  # noqa: S608 - ours
    for twin in twins:
        for record in records_of(twin).values():
            if name is None or record.name == name:
                yield str(twin["deviceId"]), record.name


def platform_of(agent: Mapping[str, Any]) -> Platform | None:
    """What the twin of a device's agent says of its processor; None where it has never said."""
    return platform_in(reported_of(agent))


def platform_in(reported: Mapping[str, Any]) -> Platform | None:
    """The same, of the agent's reported properties."""
    said = (reported.get("runtime") or {}).get("platform") or {}
    system = reported.get("systemInfo") or {}
    architecture = str(said.get("architecture") or system.get("architecture") or "").lower()
    if not architecture or architecture == "unknown":
        return None
    return Platform.of_json({"os": str(said.get("os") or "linux").lower(), "architecture": architecture})


def last_release(device: Device) -> Served | None:
    """The release that stands on the device by the record, tested or not."""
    record = device.record
    return (record.trial or record.live) if record else None


def _refuse_foreign(found: Device) -> None:
    record = found.record
    if record is not None and record.name == found.name:
        return
    if record is not None or found.entry is not None:
        owner = f"is of deployment {record.name!r}" if record else "is not dray's"
        raise NameTaken(
            f"module {found.module!r} of device {found.device!r} is there and {owner}",
            hint="choose another name: -n NAME",
        )
