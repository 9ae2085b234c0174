"""A deployment's facts as its Service's annotation holds them: what a colleague, or the next command, finds.

Never a secret, and no hash of one: references only.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from packager.core.artifact import Release
from packager.core.errors import DeploymentFailed
from targets.kit.holder import Holder
from targets.kit.kubernetes.names import object_name
from targets.kit.kubernetes.settings import KubernetesSettings

# Annotations of dray need a prefix that is a DNS name.
PREFIX: Final = "dray.dev"
NAME, RECORD, PACKAGE, SLOT = (f"{PREFIX}/{key}" for key in ("name", "record", "package", "slot"))
Slot = Literal["a", "b"]
WHEN_SENT: Final = "set when it is sent"


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class Hint(_Fact):
    """What serving took when it was measured, as the package's certificate has it."""

    memory_mib: float
    cpu_millicores: int
    startup_s: float


class Served(_Fact):
    """A release with all that is needed to bring it back.

    Attributes:
        settings: As given; defaults left out.
        pull: Whether the registry's credentials of the machine that deployed it were sent along.
        created: When it was put there, ISO 8601, UTC.
    """

    model: str
    version: str
    package: str
    image: str
    settings: Mapping[str, Any]
    hint: Hint | None = None
    pull: bool = False
    created: str = WHEN_SENT

    @classmethod
    def of(cls, release: Release, settings: KubernetesSettings, *, pull: bool) -> "Served":
        """A release that is to be put there; without what only this machine knows, and what is of one command."""
        manifest, measured = release.package.manifest, release.package.certificate.resources
        hint = (
            Hint(memory_mib=measured.memory_mib, cpu_millicores=measured.cpu_millicores, startup_s=measured.startup_s)
            if measured
            else None
        )
        local = {"context", "kubeconfig", "force_conflicts"}
        return cls(
            model=manifest.name,
            version=manifest.version,
            package=release.package.digest,
            image=str(release.image),
            settings=settings.model_dump(mode="json", exclude_defaults=True, exclude=local),
            hint=hint,
            pull=pull,
        )

    def same_release(self, other: "Served | None") -> bool:
        """Whether another is the same but for when it was put there."""
        return other is not None and self == other.model_copy(update={"created": self.created})


class Record(_Fact):
    """What is known of a deployment.

    Attributes:
        serial: Grows with every release.
        slot: Which of the two places the live release is in.
        live: The last release that passed its tests; None for a first one that has not yet.
        trial: One that is being tested.
        trial_slot: Where that one is; the live one's place where pods are replaced one by one.
        previous: What served before the live one.
        holder: The command that is changing it.
    """

    serial: int = 1
    slot: Slot = "a"
    live: Served | None = None
    trial: Served | None = None
    trial_slot: Slot = "a"
    previous: Served | None = None
    holder: str = ""

    @property
    def held_by(self) -> Holder | None:
        """The command at work, as it wrote itself down."""
        return Holder.parse(self.holder) if self.holder else None

    @property
    def shown(self) -> Served | None:
        """The release to show: the live one, else the one that is tried."""
        return self.live or self.trial

    def taken(self) -> "Record":
        """With the trial in the place of the live one."""
        served = self.trial or self.live
        again = served is None or served.same_release(self.live)
        before = self.previous if again else self.live
        return Record(
            serial=self.serial, slot=self.trial_slot, live=served, trial_slot=self.trial_slot, previous=before
        )

    def undone(self) -> "Record":
        """Without the trial."""
        return Record(serial=self.serial, slot=self.slot, live=self.live, trial_slot=self.slot, previous=self.previous)

    def written(self) -> str:
        """As the annotation holds it."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def parse(cls, text: str, name: str) -> "Record":
        """What ``written`` wrote.

        Raises:
            DeploymentFailed: It cannot be read.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            kinds, label = "deploy,svc,secret,sa,pdb,netpol,hpa", f"app.kubernetes.io/instance={object_name(name)}"
            raise DeploymentFailed(
                f"the annotation {RECORD} of deployment {name!r} cannot be read",
                hint="somebody changed it by hand, or another version of dray made it; deploy again after:"
                f" kubectl delete {kinds} -l {label}",
            ) from error
