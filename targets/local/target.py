"""The runtime as a background process of this machine: no account, no container engine."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar

from packager.core.artifact import Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Finding, Findings
from packager.core.errors import ConfigurationError, EnvironmentMissing, InvocationError
from packager.core.http_client import HttpInferenceClient
from packager.core.progress import Progress
from packager.core.protocols import Secrets, Target
from packager.core.state import state_home
from runtime.contract.package import read_package
from targets.kit.engine.ports import endpoint_url
from targets.kit.engine.process import RUNTIME
from targets.kit.ownership import owned
from targets.local import handover, planning, view
from targets.local.record import DeploymentFolder, all_folders
from targets.local.settings import LocalSettings

_NEEDED = ("fastapi", "numpy", "onnxruntime", "uvicorn")


@dataclass(frozen=True, slots=True)
class LocalTarget(Target[LocalSettings]):
    """Deployments are processes of this user on this machine; their records are under ``DRAY_HOME``.

    An update starts the new process beside the old one and hands the port over, so that the URL stays and no request
    is lost (on macOS a moment's refusal is possible, see ``targets.kit.engine.process``).

    Attributes:
        made_for: The target that this one's deployments are made for; None for its own.
    """

    name: ClassVar[str] = "local"
    settings_type = LocalSettings
    takes_image: ClassVar[bool] = False

    program: tuple[str, ...] = RUNTIME
    platform: str = sys.platform
    made_for: str | None = field(default=None, kw_only=True)

    def preflight(self, settings: LocalSettings) -> Findings:
        """Whether the runtime can run here at all."""
        if self.platform == "win32":
            message = "the local target needs Linux or macOS"
            hint = "on Windows, run dray inside WSL: wsl --install"
            return (Finding(EnvironmentMissing.code, message, hint, blocking=True),)
        absent = [module for module in _NEEDED if find_spec(module) is None]
        if absent:
            message = f"the runtime needs {', '.join(absent)}, not installed here"
            return (Finding(EnvironmentMissing.code, message, 'pip install "dray[runtime]"', blocking=True),)
        if os.pathsep in str(state_home()):
            message = f"the state folder {str(state_home())!r} has {os.pathsep!r} in its name"
            return (Finding(ConfigurationError.code, message, "set DRAY_HOME to another folder", blocking=True),)
        return ()

    def plan(self, name: str, release: Release, settings: LocalSettings) -> DeploymentPlan:
        """A copy of the package, and a process that serves it."""
        folder = DeploymentFolder.of(name)
        record = folder.read()
        slot = record.live if record else None
        live = view.deployment_of(folder, slot) if slot else None
        return DeploymentPlan(
            target=self.name,
            name=name,
            actions=(
                *planning.leftovers(record),
                *planning.actions(name, slot, live.state if live else None, release.package, settings, self.program),
            ),
            release=release,
            settings=settings,
            live=live,
            findings=planning.findings(slot, view.alive(folder, slot), release.package, settings),
        )

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The new process, ready; on the port to be, or on one to stand by while the old process has that.

        Where only leftovers of an interrupted command are to be ended, the live process is its own candidate.
        """
        folder = DeploymentFolder.of(plan.name)
        if plan.live and not any(action.verb in ("create", "update") for action in plan.actions):
            handover.recover(folder, self.program)
            return Candidate(plan.live, plan, handle={"pid": None})
        settings = LocalSettings.model_validate(plan.settings, from_attributes=True)
        slot = handover.start_candidate(
            folder, plan.release.package, settings, self.program, progress, timeout_s=timeout_s
        )
        url = endpoint_url(slot.host, slot.standby_port or slot.port)
        deployment = view.describe(folder, slot, "pending", url)
        return Candidate(deployment, plan, handle={"pid": slot.process.pid if slot.process else None})

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[HttpInferenceClient]:
        """A client of its endpoint."""
        if deployment.endpoint is None:
            raise InvocationError(f"{deployment.name!r} has no endpoint yet", hint="`dray status` shows its state")
        with HttpInferenceClient(deployment.endpoint) as client:
            yield client

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Hand the port over, then let the old process finish its requests and end."""
        if candidate.handle["pid"] is None:
            return candidate.deployment
        folder = DeploymentFolder.of(candidate.deployment.name)
        slot = handover.promote(folder, self.program, progress)
        return view.describe(folder, slot, "running", endpoint_url(slot.host, slot.port))

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """End the candidate; of a first deployment nothing is left."""
        handover.recover(DeploymentFolder.of(candidate.deployment.name), self.program)

    def inspect(self, name: str, settings: LocalSettings) -> Deployment | None:
        """The deployment as its process shows it; ``pending`` for a first one that is not yet in place."""
        found = owned((_of(DeploymentFolder.of(name)),), self.made_for)
        return found[0] if found else None

    def deployments(self, settings: LocalSettings) -> tuple[Deployment, ...]:
        """All local deployments."""
        return owned(map(_of, all_folders()), self.made_for)

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of the process that serves; with ``follow``, those of the one that replaces it as well."""
        return view.log_lines(DeploymentFolder.of(deployment.name), follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release, LocalSettings] | None:
        """The release before, from this deployment's own copy."""
        folder = DeploymentFolder.of(deployment.name)
        record = folder.read()
        if record is None or record.previous is None:
            return None
        return Release(read_package(folder.release(record.previous.digest))), record.previous.settings

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """End its processes, after what they have accepted, and remove its folder."""
        progress.step(f"ending {deployment.name}")
        handover.end_all(DeploymentFolder.of(deployment.name), self.program)


def _of(folder: DeploymentFolder) -> Deployment | None:
    record = folder.read()
    if record is None:
        return None
    if record.live:
        return view.deployment_of(folder, record.live)
    return view.describe(folder, record.candidate, "pending", None) if record.candidate else None
