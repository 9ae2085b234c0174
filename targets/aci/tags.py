"""A release as tags of its container group: what a colleague, or the next command after a crash, finds.

At most 50 tags, values of at most 256 characters: what is longer is compressed and spread over several. Never a secret,
and no hash of one: references only.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from packager.core.errors import DeploymentFailed
from targets.aci.settings import AciSettings
from targets.kit.holder import Holder

OURS: Final = "dray-"
NAME, STATE, SERIAL, MODEL, VERSION, PACKAGE, IMAGE, CREATED, HOLDER = (
    f"{OURS}{key}" for key in ("name", "state", "serial", "model", "version", "package", "image", "created", "holder")
)
RELEASE, PREVIOUS, BEFORE = (f"{OURS}{key}" for key in ("release", "previous", "before"))
MOST: Final = 50
_LONGEST: Final = 256
_END: Final = "."

# ``live`` serves. ``trial`` is a group of its own that is being tested. ``update`` is one that served and whose
# containers now run a release that is being tested.
GroupState = Literal["live", "trial", "update"]


class Served(BaseModel):
    """A release with all that is needed to bring it back.

    Attributes:
        settings: As given; defaults left out.
        created: When it was put there, ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    version: str
    package: str
    image: str
    settings: Mapping[str, Any]
    label: str | None
    liveness_s: int
    created: str

    def same_release(self, other: "Served") -> bool:
        """Whether the other one is of the same package in the same image."""
        return (self.package, self.image) == (other.package, other.image)

    def chosen(self) -> AciSettings:
        """The settings.

        Raises:
            DeploymentFailed: Another version of dray wrote others.
        """
        try:
            return AciSettings.model_validate(self.settings)
        except ValidationError as error:
            raise DeploymentFailed(
                f"the settings of {self.model} {self.version} cannot be read: {dict(self.settings)!r}",
                hint="another version of dray made it; deploy again with this one",
            ) from error


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tags of a group say.

    Attributes:
        serial: Grows with every release of a deployment.
        previous: What served before, for a rollback.
        before: What served before that; kept only while an update may still be undone.
    """

    name: str
    state: GroupState
    serial: int
    served: Served
    previous: Served | None = None
    before: Served | None = None
    holder: Holder | None = None

    @property
    def earlier(self) -> Served | None:
        """What a rollback brings back: what served before; of a rollback that was cut short, what that was to."""
        resumed = self.state == "update" and self.before is not None and self.before.same_release(self.served)
        return self.served if resumed else self.previous

    @property
    def good(self) -> Served | None:
        """The last release that passed its tests; None for a first one that has not."""
        return self.served if self.state == "live" else self.previous


def tags_of(facts: Facts) -> dict[str, str]:
    """As they are written."""
    served = facts.served
    plain = {
        NAME: facts.name,
        STATE: facts.state,
        SERIAL: str(facts.serial),
        MODEL: served.model,
        VERSION: served.version,
        PACKAGE: served.package,
        IMAGE: served.image[:_LONGEST],
        CREATED: served.created,
    }
    holder = {HOLDER: str(facts.holder)} if facts.holder and facts.state != "live" else {}
    records = {RELEASE: served, PREVIOUS: facts.previous, BEFORE: facts.before}
    packed = [_spread(key, record) for key, record in records.items() if record is not None]
    return {**plain, **holder, **{key: value for each in packed for key, value in each.items()}}


def facts_of(tags: Mapping[str, str]) -> Facts | None:
    """What is written there; None where it is not dray's.

    Raises:
        DeploymentFailed: It is dray's and cannot be read.
    """
    if NAME not in tags:
        return None
    served, state = _gathered(tags, RELEASE), tags.get(STATE)
    if served is None or state not in get_args(GroupState):
        raise DeploymentFailed(
            f"the tags of deployment {tags[NAME]!r} cannot be read",
            hint="somebody changed them by hand; delete the container group in the portal, and deploy again",
        )
    serial = tags.get(SERIAL, "")
    return Facts(
        name=tags[NAME],
        state=state,  # type: ignore[arg-type]
        serial=int(serial) if serial.isdecimal() else 0,
        served=served,
        previous=_gathered(tags, PREVIOUS),
        before=_gathered(tags, BEFORE) if state != "live" else None,
        holder=Holder.parse(tags.get(HOLDER, "")) if state != "live" else None,
    )


def others(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that are not dray's."""
    return {key: value for key, value in tags.items() if not key.startswith(OURS)}


def _spread(key: str, record: Served) -> dict[str, str]:
    text = json.dumps(record.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode() + _END
    parts = [packed[at : at + _LONGEST] for at in range(0, len(packed), _LONGEST)]
    return {f"{key}-{index}": part for index, part in enumerate(parts)}


def _gathered(tags: Mapping[str, str], key: str) -> Served | None:
    """What was spread, up to its end: parts of a longer one may have stayed where tags were merged, not replaced."""
    packed = ""
    for index in range(MOST):
        packed += tags.get(f"{key}-{index}", _END)
        if packed.endswith(_END):
            break
    try:
        text = zlib.decompress(base64.urlsafe_b64decode(packed.removesuffix(_END)))
        return Served.model_validate_json(text)
    except (binascii.Error, zlib.error, ValueError):
        return None
