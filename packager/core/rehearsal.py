"""Rehearsals: a target's own code against a stand-in of its cloud on this machine.

A plugin of the group ``dray.rehearsals`` has the name of the target that it stands in for.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from packager.core.credentials import CredentialSource
from packager.core.edge import MessageLine
from packager.core.progress import Progress
from packager.core.protocols import Target

# Marks an image with a package and nothing to run it: what a machine without a base image or an engine makes.
PACKAGE_ONLY_LABEL = "dray.package-only"


@dataclass(frozen=True, slots=True)
class Stage:
    """A stand-in that runs, and the target that speaks to it.

    Attributes:
        target: The same code as for the cloud, connected to the stand-in.
        registry: Host and port of the stand-in's own registry; plain HTTP, on loopback.
        credentials: What that registry, and no other, wants to see.
        runs: What it makes of images: containers of an engine, or processes of the runtime that is installed here.
        why: Why processes; empty for containers.
        messages: To and from edge devices; None where there are none.
    """

    target: Target[Any]
    registry: str
    credentials: CredentialSource
    runs: Literal["containers", "processes"]
    why: str = ""
    messages: MessageLine | None = None


@runtime_checkable
class Rehearsal(Protocol):
    """A stand-in of one target's cloud, which lives on between commands and ends with its last deployment.

    Attributes:
        name: Of the target.
        faults: What can be made to go wrong, by name, in words.
    """

    name: ClassVar[str]
    faults: ClassVar[Mapping[str, str]]

    @abstractmethod
    def open(self, faults: Sequence[str], progress: Progress) -> Stage:
        """The stand-in that lives already, else a new one.

        Args:
            faults: What goes wrong from now on, instead of what did before; each as ``NAME`` or ``NAME:TIMES``.

        Raises:
            UsageError: There is no such fault.
            EnvironmentMissing: What it is made of is not installed.
            DeploymentFailed: It does not start.
        """

    @abstractmethod
    def find(self) -> Stage | None:
        """The stand-in that lives already; None where there is none, and so no deployment."""
