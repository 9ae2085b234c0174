"""A cloud that pulls images, and its rehearsal, without servers of their own: for tests of what the packager does."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pytest

from packager import plugins
from packager.core.artifact import Release
from packager.core.credentials import Credential, CredentialSource
from packager.core.deployment import Action, Candidate, Change, Deployment, DeploymentPlan, State, TargetSettings
from packager.core.errors import UsageError
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import InferenceClient, PullsImages, Secrets
from packager.core.rehearsal import Rehearsal, Stage
from packager.image.contents import package_of_image
from tests.support.fakes import MemoryTarget, PackageClient
from tests.support.registry_server import PASSWORD, USER


class CloudSettings(TargetSettings):
    """Settings of ``CloudTarget``."""

    size: int = 1
    update: Literal["in-place", "replace"] = "replace"


@dataclass(frozen=True)
class OwnRegistry(CredentialSource):
    """The password of one registry."""

    registry: str

    def credential(self, registry: str) -> Credential | None:
        return Credential(USER, PASSWORD, source="a test") if registry == self.registry else None


class CloudTarget(MemoryTarget, PullsImages[Any]):
    """Deployments are entries of a dict; what one serves is read from its image, as a cloud pulls it."""

    name: ClassVar[str] = "cloud"
    settings_type: Any = CloudSettings
    takes_image: ClassVar[bool] = True

    def __init__(self, credentials: CredentialSource | None = None) -> None:
        super().__init__("cloud")
        self.credentials = credentials
        self.runs: tuple[Platform, ...] = (Platform(),)

    def platforms(self, settings: Any) -> tuple[Platform, ...]:
        return self.runs

    def plan(self, name: str, release: Release, settings: Any) -> DeploymentPlan:
        old = self.live.get(name)
        body = {"image": str(release.image), **settings.model_dump()}
        if old is None:
            action = Action("create", f"group {name}", body)
        elif (old[0].image, old[1]) == (release.image, settings):
            action = Action("keep", f"group {name}", body)
        else:
            action = Action("update", f"group {name}", body, (Change("image", str(old[0].image), str(release.image)),))
        return DeploymentPlan(self.name, name, (action,), release, settings, live=self.inspect(name, settings))

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        self._pulled(plan.release.image)
        return super().apply(plan, secrets, progress, timeout_s=timeout_s)

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        self._step("promote")
        name, settings = candidate.plan.name, CloudSettings.model_validate(candidate.plan.settings.model_dump())
        if name in self.live:
            self.before[name] = self.live[name]
        self.live[name] = (self.candidates.pop(name), settings)  # type: ignore[assignment]
        return self._deployment(name, candidate.plan.release, "running")

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[InferenceClient]:
        assert deployment.image is not None
        yield PackageClient(self._pulled(ImageRef.parse(deployment.image)))

    def previous(self, deployment: Deployment) -> Any:
        before = self.before.get(deployment.name)
        return (before[0].image, before[1]) if before else None

    def _pulled(self, image: ImageRef | None) -> Any:
        assert image is not None
        return package_of_image(image, SilentProgress(), credentials=self.credentials)[0]

    def _deployment(self, name: str, release: Release, state: State) -> Deployment:
        made = super()._deployment(name, release, state)
        fields = {key: getattr(made, key) for key in made.__dataclass_fields__}
        return Deployment(**{**fields, "image": str(release.image), "endpoint": "http://127.77.0.1:8080"})


@dataclass
class CloudRehearsal(Rehearsal):
    """Lives from the first ``open`` on; remembers which faults were asked for."""

    stage: Stage
    alive: bool = False
    opened: list[tuple[str, ...]] = field(default_factory=list)
    name: ClassVar[str] = "cloud"
    faults: ClassVar[Mapping[str, str]] = {"quota": "no cores are left", "slow": "it never becomes ready"}

    def open(self, faults: Sequence[str], progress: Progress) -> Stage:
        for fault in faults:
            if fault.partition(":")[0] not in self.faults:
                raise UsageError(f"no fault is called {fault!r}", hint=f"one of {', '.join(self.faults)}")
        self.opened.append(tuple(faults))
        self.alive = True
        return self.stage

    def find(self) -> Stage | None:
        return self.stage if self.alive else None


def install(
    monkeypatch: pytest.MonkeyPatch, target: CloudTarget | None = None, rehearsal: CloudRehearsal | None = None
) -> None:
    """Let dray find the cloud beside its own targets, and its rehearsal."""
    targets = {**plugins.targets(), "cloud": target or CloudTarget()}
    monkeypatch.setattr(plugins, "targets", lambda: targets)
    monkeypatch.setattr(plugins, "rehearsals", lambda: {"cloud": rehearsal} if rehearsal else {})


def stand_in(host: str, *, runs: Literal["containers", "processes"] = "processes", why: str = "") -> CloudRehearsal:
    """A rehearsal whose images go to the registry of this host, which wants a password."""
    credentials = OwnRegistry(host)
    return CloudRehearsal(Stage(CloudTarget(credentials), host, credentials, runs, why))
