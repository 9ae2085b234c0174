"""A deployment's facts as the device's tags, or a configuration's labels, hold them: what a colleague finds.

Never a secret, and no hash of one: references only. Of a twin's tags all keys are sent, those without a value as None,
for the hub merges what it is sent.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from packager.core.artifact import Release
from packager.core.errors import DeploymentFailed
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.holder import Holder

# Under this tag of a device its deployments stand, by their module.
TAG: Final = "dray"
WHEN_SENT: Final = "set when it is sent"
_LABEL: Final = "dray-record-"
NAME_LABEL: Final = "dray-name"
# A label's value is at most this long, and there are not too many.
_PIECE: Final = 250
# What says how a hub is reached, or is of one command, is the reader's own.
_HERE_ONLY: Final = frozenset({"offline", "hub", "resource_group", "subscription"})


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class Served(_Fact):
    """A release with all that is needed to bring it back.

    Attributes:
        settings: As given, JSON; defaults left out.
        pull: Whether credentials of the machine that deployed it went along.
        created: When it was put there, ISO 8601, UTC.
    """

    model: str
    version: str
    package: str
    image: str
    settings: str
    pull: bool = False
    created: str = WHEN_SENT

    @classmethod
    def of(cls, release: Release, settings: IotEdgeSettings, *, pull: bool) -> "Served":
        """A release that is to be put there."""
        manifest = release.package.manifest
        chosen = settings.model_dump(mode="json", exclude_defaults=True, exclude=set(_HERE_ONLY))
        return cls(
            model=manifest.name,
            version=manifest.version,
            package=release.package.digest,
            image=str(release.image),
            settings=json.dumps(chosen, separators=(",", ":"), sort_keys=True, ensure_ascii=False),
            pull=pull,
        )

    def same_release(self, other: "Served | None") -> bool:
        """Whether another is the same but for when it was put there."""
        return other is not None and self == other.model_copy(update={"created": self.created})

    def chosen(self) -> IotEdgeSettings:
        """The settings that it was given.

        Raises:
            DeploymentFailed: Another version of dray wrote others.
        """
        try:
            return IotEdgeSettings.model_validate_json(self.settings)
        except ValidationError as error:
            raise DeploymentFailed(
                f"the settings of {self.model} {self.version} cannot be read: {self.settings!r}",
                hint="another version of dray made it; deploy again with this one",
            ) from error


class Record(_Fact):
    """What is known of a deployment.

    Attributes:
        live: The last release that passed its tests; None for a first one that has not yet.
        trial: One that is being tested, or waits for its device.
        waits: Whether the trial waits for its device, so that nobody is at it.
        previous: What served before the live one.
        holder: The command that is changing it.
        serial: Of the newest configuration.
        trial_serial: Of the trial's configuration.
    """

    name: str
    live: Served | None = None
    trial: Served | None = None
    waits: bool = False
    previous: Served | None = None
    holder: str = ""
    serial: int = 0
    trial_serial: int = 0

    @property
    def held_by(self) -> Holder | None:
        """The command at work, as it wrote itself down."""
        return Holder.parse(self.holder) if self.holder else None

    @property
    def shown(self) -> Served | None:
        """The release to show: the one that is tried where nothing serves, or where it stands on the device already."""
        return self.trial if self.trial and (self.waits or self.live is None) else self.live

    def begun(self, trial: Served, holder: str) -> "Record":
        """With a release that is tried."""
        return self.model_copy(update={"trial": trial, "holder": holder, "waits": False})

    def waiting(self) -> "Record":
        """With the trial left to wait for its device."""
        return self.model_copy(update={"holder": "", "waits": True})

    def taken(self) -> "Record":
        """With the trial in the place of the live one."""
        served = self.trial or self.live
        again = served is None or served.same_release(self.live)
        before = self.previous if again else self.live
        return self.model_copy(update={"live": served, "trial": None, "previous": before, "holder": "", "waits": False})

    def undone(self) -> "Record":
        """Without the trial."""
        return self.model_copy(update={"trial": None, "holder": "", "waits": False})

    def as_tag(self) -> dict[str, Any]:
        """As a twin's tags hold it, whatever they held before."""
        return self.model_dump(mode="json")

    @classmethod
    def of_tag(cls, tag: Any, where: str) -> "Record":
        """What ``as_tag`` wrote.

        Raises:
            DeploymentFailed: It cannot be read.
        """
        try:
            return cls.model_validate(tag)
        except ValidationError as error:
            raise DeploymentFailed(
                f"the tags of dray at {where} cannot be read",
                hint="somebody changed them by hand, or another version of dray did; remove them and deploy again",
            ) from error


def as_labels(record: Record, labels: Mapping[str, str]) -> dict[str, str]:
    """A record among the labels of a configuration."""
    text = record.model_dump_json(exclude_defaults=True)
    pieces = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    return {**labels, NAME_LABEL: record.name, **{f"{_LABEL}{index}": piece for index, piece in enumerate(pieces)}}


def of_labels(labels: Mapping[str, Any], where: str) -> Record | None:
    """The record among a configuration's labels; None where there is none."""
    pieces: list[str] = []
    while (piece := labels.get(f"{_LABEL}{len(pieces)}")) is not None:
        pieces.append(str(piece))
    if not pieces:
        return None
    try:
        return Record.of_tag(json.loads("".join(pieces)), where)
    except ValueError as error:
        raise DeploymentFailed(
            f"the labels of dray at {where} cannot be read", hint="delete the configuration, and deploy again"
        ) from error
