"""Where deployments go and are looked for: the targets themselves, or their stand-ins on this machine."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from packager import plugins
from packager.core.credentials import CredentialSource
from packager.core.deployment import Deployment, TargetSettings
from packager.core.errors import DeploymentMissing, DrayError, UsageError
from packager.core.progress import Progress
from packager.core.protocols import Target
from packager.core.rehearsal import Stage
from packager.deploy.search import find, settings_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one deployment goes.

    Attributes:
        settings: Of the target's ``settings_type``.
        stage: The stand-in that the target speaks to; None where it is the real thing.
    """

    target: Target[Any]
    settings: TargetSettings
    stage: Stage | None = None

    @property
    def credentials(self) -> CredentialSource | None:
        """What the stand-in's registry wants to see."""
        return self.stage.credentials if self.stage else None


@dataclass(frozen=True, slots=True)
class Places:
    """Where deployments are looked for by name.

    Attributes:
        settings: By target name, where the defaults do not do.
        stages: The stand-ins that the targets speak to, by target name; none where they are the real things.
    """

    targets: tuple[Target[Any], ...]
    settings: Mapping[str, TargetSettings] = field(default_factory=dict)
    stages: Mapping[str, Stage] = field(default_factory=dict)

    def find(self, name: str) -> tuple[Place, Deployment]:
        """The deployment of this name, and where it is.

        Raises:
            DeploymentMissing, UsageError: As ``packager.deploy.find``.
        """
        try:
            target, deployment = find(name, self.targets, self.settings)
        except DeploymentMissing as error:
            if not self.stages and _is_rehearsed(name):
                raise DeploymentMissing(error.message, hint="it is being rehearsed: add --rehearse") from error
            raise
        return Place(target, settings_of(target, self.settings), self.stages.get(target.name)), deployment


def open_stage(name: str, faults: Sequence[str], progress: Progress, *, rehearse: bool) -> Stage | None:
    """The stand-in of a target, started where none lives; None where nothing is rehearsed.

    Raises:
        UsageError: The target has none, there is no such fault, or faults without a rehearsal.
        EnvironmentMissing, DeploymentFailed: It does not start.
    """
    check_faults(faults, rehearse=rehearse)
    return plugins.rehearsal(name).open(tuple(faults), progress) if rehearse else None


@contextmanager
def striking(name: str, faults: Sequence[str], progress: Progress) -> Iterator[None]:
    """Faults end with the command that named them: whoever looks at what it left, or cleans up, is not hit by them."""
    try:
        yield
    finally:
        try:
            if faults and (rehearsal := plugins.rehearsal(name)).find() is not None:
                rehearsal.open((), progress)
        except DrayError as error:  # what went wrong in the block is what the user must hear about
            logger.info("the faults were not lifted: %s", error.message)


def check_faults(faults: Sequence[str], *, rehearse: bool) -> None:
    """Refuse faults in what is no rehearsal.

    Raises:
        UsageError: There are some.
    """
    if faults and not rehearse:
        raise UsageError(f"faults strike in rehearsals only: {', '.join(faults)}", hint="add --rehearse")


def rehearsed(name: str | None, settings: Mapping[str, TargetSettings]) -> Places:
    """The stand-ins that live: of one target, or of all.

    Raises:
        UsageError: The target has none.
    """
    known = (plugins.rehearsal(name),) if name else tuple(plugins.rehearsals().values())
    stages = {rehearsal.name: stage for rehearsal in known if (stage := rehearsal.find()) is not None}
    return Places(tuple(stage.target for stage in stages.values()), settings, stages)


def _is_rehearsed(name: str) -> bool:
    """Whether a stand-in that lives has a deployment of this name."""
    try:
        find(name, rehearsed(None, {}).targets)
    except DrayError as error:
        logger.info("no rehearsal of %s: %s", name, error.message)
        return False
    return True
