"""A container of a Docker engine, with everything taken from it that serving does not need."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Finding, Findings, State
from packager.core.errors import DrayError, EngineUnavailable, EnvironmentMissing, InvocationError
from packager.core.http_client import HttpInferenceClient
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import Secrets, Target
from targets.docker import body, handover, planning
from targets.docker.images import (
    ensure_image,
    image_findings,
    package_in,
    package_of,
)
from targets.docker.settings import DockerSettings
from targets.docker.state import (
    Deployed,
    all_deployed,
    bound_port,
    deployed,
    facts_of,
    image_of,
    settings_of,
)
from targets.kit.api_keys import key_to_ask_with, own_key
from targets.kit.endpoint import endpoint_state
from targets.kit.engine.containers import Container, ContainerEngine
from targets.kit.engine.docker_host import docker_host
from targets.kit.images import required_image
from targets.kit.ownership import owned
from targets.kit.packages import keep_package, kept_package

logger = logging.getLogger(__name__)
_HAND_OVER_S = 60.0


@dataclass(frozen=True, slots=True)
class DockerTarget(Target[DockerSettings]):
    """Deployments are containers of an engine, known by their labels; nothing about them is kept anywhere else.

    An update is tested in a container on another port while the old one serves; then the port is handed over, which
    takes as long as the runtime needs to start.

    Attributes:
        made_for: The target that this one's deployments are made for; None for its own.
    """

    name: ClassVar[str] = "docker"
    settings_type = DockerSettings
    takes_image: ClassVar[bool] = True
    made_for: str | None = field(default=None, kw_only=True)

    def preflight(self, settings: DockerSettings) -> Findings:
        """Whether an engine answers."""
        try:
            with _engine(settings):
                return ()
        except DrayError as error:
            return (Finding.of_error(error),)

    def load_image(self, archive: Iterator[bytes], settings: DockerSettings) -> None:
        """Take an image in the form that ``docker load`` reads."""
        with _engine(settings) as engine:
            engine.load(archive)

    def platform(self, settings: DockerSettings) -> Platform:
        """Of the engine."""
        with _engine(settings) as engine:
            return engine.facts().platform

    def package_of(self, image: ImageRef, settings: DockerSettings) -> ModelPackage | None:
        """The package of an image that the engine has; None where only a registry may have it."""
        with _engine(settings) as engine:
            return package_of(engine, image)

    def plan(self, name: str, release: Release, settings: DockerSettings) -> DeploymentPlan:
        """The containers to create and replace."""
        required_image(release)
        with _engine(settings) as engine:
            state = deployed(engine, name)
            live = _describe(engine, state.live, settings.context) if state.live else None
            actions = planning.actions(state, live.state if live else None, release, settings, engine.host)
            replaces = any(action.verb == "replace" for action in actions)
            return DeploymentPlan(
                target=self.name,
                name=name,
                actions=actions,
                release=release,
                settings=settings,
                live=live,
                findings=(
                    *planning.findings(state, settings, engine.host, engine.facts()),
                    *image_findings(engine, release, (state.live, state.previous)),
                    *(planning.gap(state) if replaces else ()),
                ),
            )

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The new container, ready: on its port where it is the first of its name, else on one that the engine chose.

        Where only leftovers of an interrupted command are to be ended, the live container is its own candidate.
        """
        settings = DockerSettings.model_validate(plan.settings, from_attributes=True)
        with _engine(settings) as engine:
            if plan.live and not any(action.verb in ("create", "replace") for action in plan.actions):
                handover.recover(engine, plan.name)
                return Candidate(plan.live, plan, handle={"container": None})
            state = handover.recover(engine, plan.name)
            image = ensure_image(engine, plan.release, (state.live, state.previous), progress)
            keep_package(plan.release.package)
            wanted = handover.Wanted(plan.name, plan.release, settings, image, secrets)
            container, url = handover.start_trial(engine, state, wanted, progress, timeout_s=timeout_s)
            deployment = _described(container, "pending", url, settings.context)
            return Candidate(deployment, plan, handle={"container": container.id, "image": image.id})

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[HttpInferenceClient]:
        """A client of its endpoint, which shows the first of its keys."""
        if deployment.endpoint is None:
            raise InvocationError(f"{deployment.name!r} has no endpoint", hint="`dray status` shows its state")
        settings = DockerSettings.model_validate(deployment.detail["settings"])
        with HttpInferenceClient(deployment.endpoint, token=key_to_ask_with(settings.api_keys)) as client:
            yield client

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Hand the port over; the container that had it stays, stopped, for a rollback."""
        plan = candidate.plan
        settings = DockerSettings.model_validate(plan.settings, from_attributes=True)
        with _engine(settings) as engine:
            state = deployed(engine, plan.name)
            if candidate.handle["container"] is not None:
                image = ensure_image(engine, plan.release, (state.trial,), progress)
                wanted = handover.Wanted(plan.name, plan.release, settings, image, {})
                live = handover.promote(engine, state, wanted, progress, timeout_s=_HAND_OVER_S)
                url = planning.endpoint(engine.host, settings, bound_port(live) or 0)
                return _described(live, "running", url, settings.context)
        return candidate.deployment

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Remove the candidate; of a first deployment nothing is left."""
        with _engine(DockerSettings.model_validate(candidate.plan.settings, from_attributes=True)) as engine:
            handover.recover(engine, candidate.plan.name)

    def inspect(self, name: str, settings: DockerSettings) -> Deployment | None:
        """The deployment as its container shows it; ``pending`` for a first one that is not yet in place."""
        engine = _engine_if_any(settings)
        if engine is None:
            return None
        with engine:
            found = owned((_of(engine, deployed(engine, name), settings.context),), self.made_for)
            return found[0] if found else None

    def deployments(self, settings: DockerSettings) -> tuple[Deployment, ...]:
        """All of dray's deployments in the engine."""
        engine = _engine_if_any(settings)
        if engine is None:
            return ()
        with engine:
            found = [_of(engine, state, settings.context) for state in all_deployed(engine)]
            return owned(found, self.made_for)

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of the container that serves; with ``follow``, those of the one that replaces it as well."""
        with _engine(_settings(deployment)) as engine:
            shown = None
            while (live := deployed(engine, deployment.name).live) is not None and live.id != shown:
                shown = live.id
                yield from engine.lines(live, follow=follow)
                if not follow:
                    return

    def previous(self, deployment: Deployment) -> tuple[Release, DockerSettings] | None:
        """The release before, with the package out of its own container."""
        with _engine(_settings(deployment)) as engine:
            before = deployed(engine, deployment.name).previous
            if before is None:
                return None
            return Release(package_in(engine, before), image_of(before)), settings_of(before)

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """End its containers, after what they have accepted, and remove them with their secrets."""
        progress.step(f"ending {deployment.name}")
        with _engine(_settings(deployment)) as engine:
            handover.end_all(engine, deployed(engine, deployment.name))


def _engine(settings: DockerSettings) -> ContainerEngine:
    return ContainerEngine(docker_host(settings.context))


def _engine_if_any(settings: DockerSettings) -> ContainerEngine | None:
    """The engine; None where nobody named one and none answers at the default place: then nothing is deployed there."""
    host = docker_host(settings.context)
    try:
        return ContainerEngine(host)
    except (EngineUnavailable, EnvironmentMissing) as error:
        if host.chosen_by is None:
            logger.info("no deployments on docker: %s", error.message)
            return None
        raise


def _settings(deployment: Deployment) -> DockerSettings:
    return DockerSettings.model_validate(deployment.detail["settings"])


def _of(engine: ContainerEngine, state: Deployed, context: str | None) -> Deployment | None:
    if state.live:
        return _describe(engine, state.live, context)
    pending = state.trial or state.next
    return _described(pending, "pending", None, context) if pending else None


def _describe(engine: ContainerEngine, container: Container, context: str | None) -> Deployment:
    """A container that serves, in the state that it is in now."""
    settings = settings_of(container)
    port = bound_port(container)
    url = planning.endpoint(engine.host, settings, port) if port else None
    return _described(container, _state(container, url, settings), url, context)


def _described(container: Container, state: State, url: str | None, context: str | None) -> Deployment:
    """A container in the words that all targets share."""
    package = kept_package(container.labels[body.PACKAGE])
    return Deployment(
        name=container.labels[body.NAME],
        target=DockerTarget.name,
        state=state,
        endpoint=url,
        model=container.labels[body.MODEL],
        version=container.labels[body.VERSION],
        digest=container.labels[body.PACKAGE],
        package=str(package) if package else None,
        image=container.labels[body.IMAGE],
        created_at=str(container.document["Created"]),
        detail=facts_of(container, context),
    )


def _state(container: Container, url: str | None, settings: DockerSettings) -> State:
    if container.status in ("created", "exited"):
        return "failed" if container.exit_status or container.out_of_memory else "stopped"
    if container.status in ("restarting", "dead") or url is None:
        return "failed"
    return endpoint_state(url, token=own_key(settings.api_keys))
