"""What a deployment's objects are rendered from, and what all of them carry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from targets.kit.kubernetes.names import label_value, object_name
from targets.kit.kubernetes.record import NAME, PACKAGE, SLOT, Record, Served, Slot
from targets.kit.kubernetes.settings import KubernetesSettings

Object = dict[str, Any]
# The runtime's own port, the user of the image, and where secrets are. Source: the spec of the container.
PORT: Final = 8080
PORT_NAME: Final = "http"
USER: Final = 65532
CONTAINER: Final = "runtime"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
INSTANCE: Final = "app.kubernetes.io/instance"
DRAY: Final = "dray"
_ENDINGS: Final[Mapping[Slot, str]] = {"a": "", "b": "-b"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A release that shall be, and where.

    Attributes:
        name: The deployment's own.
        slot: Which of the two places it is in.
        record: Written at the Service; None leaves the annotation out.
        canary: Share of the traffic, in percent, that the other slot gets; None for no split.
    """

    name: str
    namespace: str
    served: Served
    settings: KubernetesSettings
    slot: Slot = "a"
    record: Record | None = field(default=None, repr=False)
    canary: int | None = None

    @property
    def label(self) -> str:
        """That everything of the deployment begins with."""
        return object_name(self.name)

    @property
    def workload(self) -> str:
        """Name of what belongs to one slot."""
        return f"{self.label}{_ENDINGS[self.slot]}"

    @property
    def other_slot(self) -> Slot:
        """The place where this one is not."""
        return "b" if self.slot == "a" else "a"

    @property
    def selector(self) -> dict[str, str]:
        """Labels of the pods of one slot; none of them ever changes."""
        return slot_selector(self.label, self.slot)


def slot_selector(label: str, slot: Slot) -> dict[str, str]:
    """Labels of the pods of one slot of a deployment."""
    return {INSTANCE: label, SLOT: slot}


def labels(wanted: Wanted) -> dict[str, str]:
    """The recommended labels. Source: kubernetes.io, "Recommended Labels"."""
    return {
        "app.kubernetes.io/name": label_value(wanted.served.model),
        INSTANCE: wanted.label,
        "app.kubernetes.io/version": label_value(wanted.served.version),
        MANAGED_BY: DRAY,
        "app.kubernetes.io/part-of": DRAY,
    }


def metadata(wanted: Wanted, name: str, annotations: Mapping[str, str] | None = None) -> Object:
    """Of an object of the deployment."""
    given = {NAME: wanted.name, PACKAGE: wanted.served.package, **(annotations or {})}
    return {"name": name, "namespace": wanted.namespace, "labels": labels(wanted), "annotations": given}


def cores(millicores: int) -> str:
    """A quantity of CPU, as the API itself writes it."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def mebibytes(size: int) -> str:
    """A quantity of memory, as the API itself writes it."""
    for unit, of in (("Ti", 1 << 20), ("Gi", 1 << 10)):
        if size % of == 0:
            return f"{size // of}{unit}"
    return f"{size}Mi"
