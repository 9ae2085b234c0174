"""A container group of Azure Container Instances, known by its tags; nothing about it is kept anywhere else."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from packager.core.artifact import Release
from packager.core.credentials import CredentialSource
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Finding, Findings
from packager.core.errors import (
    CloudUnreachable,
    DeploymentFailed,
    DrayError,
    EnvironmentMissing,
    InvocationError,
    NotSignedIn,
    ResourceGroupMissing,
    UsageError,
)
from packager.core.http_client import HttpInferenceClient
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import Secrets, Target
from runtime.contract.package import read_package
from targets.aci import findings, planning, update
from targets.aci.groups import ContainerGroups
from targets.aci.logs import lines_of
from targets.aci.secrets import SecretValues
from targets.aci.settings import AciSettings
from targets.aci.state import Deployed
from targets.aci.view import described, free_name, state_in, state_now
from targets.kit.api_keys import if_here, key_to_ask_with
from targets.kit.azure.access import AzureAccess, account_configured, account_implied, azure_access
from targets.kit.images import required_image
from targets.kit.packages import keep_package, kept_package

logger = logging.getLogger(__name__)
_TAKEN_UP_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class AciTarget(Target[AciSettings]):
    """Deployments are container groups.

    Attributes:
        access: To the management API; None asks the environment and Azure's own chain of credentials.
        credentials: Of registries, for pulling; None asks what every command asks.
    """

    name: ClassVar[str] = "aci"
    settings_type = AciSettings
    takes_image: ClassVar[bool] = True
    access: AzureAccess | None = None
    credentials: CredentialSource | None = field(default=None, repr=False)

    def platforms(self, settings: AciSettings) -> tuple[Platform, ...]:
        """Linux on x86-64: Azure has no other for containers of Linux."""
        return (findings.PLATFORM,)

    def preflight(self, settings: AciSettings) -> Findings:
        """Whether somebody is signed in, the resource group exists, and Azure has groups of this size there."""
        try:
            with self._groups(settings) as groups:
                _, region = self._where(groups, settings)
                return findings.early(settings, region, groups)
        except DrayError as error:
            return (Finding.of_error(error),)

    def plan(self, name: str, release: Release, settings: AciSettings) -> DeploymentPlan:
        """The body that would be sent, and what it would change."""
        required_image(release)
        with self._groups(settings) as groups:
            state, place, chosen = self._course(groups, name, release, settings)
            live = described(state.live, state_now(groups, state.live), groups) if state.live else None
            try:
                update.refuse_if_busy(state)
                held: Findings = ()
            except DrayError as error:
                held = (Finding.of_error(error),)
            return DeploymentPlan(
                target=self.name,
                name=name,
                actions=planning.actions(state, chosen, place),
                release=release,
                settings=settings,
                live=live,
                findings=(
                    *held,
                    *findings.late(chosen, release, groups),
                    *planning.course_findings(state, chosen),
                ),
                confirm=planning.reasons(state, chosen, settings),
            )

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The release, ready: in a group of its own, or in the live one where it is updated in place."""
        settings = _settings_of(plan)
        with self._groups(settings) as groups:
            state, place, chosen = self._course(groups, plan.name, plan.release, settings)
            update.refuse_if_busy(state)
            if planning.actions(state, chosen, place) != plan.actions:
                message = f"{plan.name!r} has changed since the plan was made"
                raise DeploymentFailed(message, hint="run it again: the plan will show what is there now")
            work = self._work(groups, plan.name, place.resource_group, secrets, progress, timeout_s)
            update.clear(work, state.leftovers)
            if state.live and chosen.way == "keep":
                kept = described(state.live, state_now(groups, state.live), groups)
                return Candidate(kept, plan, handle={"way": "keep"})
            keep_package(plan.release.package)
            if state.live and chosen.way == "in-place":
                group = update.update_in_place(work, chosen, state.live)
            else:
                group = update.start_trial(work, chosen, place.group_name)
            old = state.live.name if state.live and chosen.way == "replace" else None
            handle = {"way": chosen.way, "group": group.name, "resource_group": place.resource_group, "old": old}
            return Candidate(described(group, "pending", groups), plan, handle=handle)

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[HttpInferenceClient]:
        """A client of its endpoint, which shows the first of its keys and takes the certificate that was deployed."""
        if deployment.endpoint is None:
            raise InvocationError(f"{deployment.name!r} has no endpoint", hint="`dray status` shows its state")
        settings = _settings(deployment)
        key, certificate = key_to_ask_with(settings.api_keys), if_here(settings.tls_cert)
        with HttpInferenceClient(deployment.endpoint, token=key, certificate=certificate) as client:
            yield client

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Say in its tags that the release is the one; a group that it replaces is deleted."""
        handle, settings = candidate.handle, _settings_of(candidate.plan)
        if handle["way"] == "keep":
            return candidate.deployment
        with self._groups(settings) as groups:
            work = self._work(groups, candidate.plan.name, handle["resource_group"], {}, progress, _TAKEN_UP_S)
            group = update.take(work, handle["group"])
            if handle["old"]:
                self._end_old(work, handle["old"], settings.drain_s)
            group = groups.get(group.resource_group, group.name) or group
            return described(group, "running", groups)

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Delete the trial, or bring back in the live group what served there."""
        handle, plan = candidate.handle, candidate.plan
        if handle["way"] == "keep":
            return
        with self._groups(_settings_of(plan)) as groups:
            work = self._work(groups, plan.name, handle["resource_group"], {}, progress, _TAKEN_UP_S)
            if handle["way"] == "in-place":
                update.undo(work, handle["group"])
            else:
                update.delete_trial(work, handle["group"])

    def inspect(self, name: str, settings: AciSettings) -> Deployment | None:
        """The deployment as its group shows it; ``pending`` while a release of it is being tested.

        Raises:
            UsageError: Several resource groups have one of this name.
        """
        found = self._found(settings, name)
        if len(found) > 1:
            places = ", ".join(repr(each.detail["resource_group"]) for each in found)
            raise UsageError(
                f"{name!r} is deployed in {len(found)} resource groups: {places}",
                hint="-t NAME of a target of dray.yaml that names one, or AZURE_DEFAULTS_GROUP",
            )
        return found[0] if found else None

    def deployments(self, settings: AciSettings) -> tuple[Deployment, ...]:
        """All of dray's deployments in the resource group, or in the subscription where none is named."""
        return self._found(settings, None)

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of the container; Azure has no stream of them, so that following asks again and again."""
        with self._groups(_settings(deployment)) as groups:
            yield from lines_of(groups, deployment.detail["resource_group"], deployment.detail["group"], follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, AciSettings] | None:
        """The release before, as the tags remember it; updated in the way that the present one was."""
        settings, resource_group = _settings(deployment), deployment.detail["resource_group"]
        with self._groups(settings) as groups:
            live = state_in(groups, resource_group, deployment.name).live
            facts = live.facts if live else None
        before = facts.earlier if facts else None
        if facts is None or before is None:
            return None
        way = facts.served.chosen().update
        there = {"update": way, "resource_group": resource_group, "subscription": settings.subscription}
        chosen = before.chosen().model_copy(update=there)
        image, package = ImageRef.parse(before.image), kept_package(before.package)
        return (Release(read_package(package), image) if package else image), chosen

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Delete every group of this name, with what runs in them."""
        progress.step(f"deleting {deployment.name}")
        with self._groups(_settings(deployment)) as groups:
            state = state_in(groups, deployment.detail["resource_group"], deployment.name)
            update.refuse_if_busy(state)
            work = self._work(groups, deployment.name, deployment.detail["resource_group"], {}, progress, _TAKEN_UP_S)
            for group in state.every:
                update.delete(work, group)

    def _groups(self, settings: AciSettings) -> ContainerGroups:
        access = self.access or azure_access(settings.subscription)
        if settings.subscription and access.subscription != settings.subscription:
            access = replace(access, subscription=settings.subscription)
        return ContainerGroups(access)

    def _where(self, groups: ContainerGroups, settings: AciSettings) -> tuple[str, str]:
        """Resource group and region."""
        name = settings.resource_group or groups.access.resource_group
        if name is None:
            raise ResourceGroupMissing("nothing says which resource group", hint="--set resource_group=NAME")
        chosen = settings.region or groups.access.region
        try:
            region = groups.resource_group_region(name)
        except ResourceGroupMissing:
            raise
        except DrayError as error:  # who may look after container groups alone cannot see the group that they are in
            if chosen is None:
                raise
            logger.info("resource group %s was not looked at: %s", name, error.message)
            return name, chosen
        return name, chosen or region

    def _course(
        self, groups: ContainerGroups, name: str, release: Release, settings: AciSettings
    ) -> tuple[Deployed, planning.Place, planning.Course]:
        resource_group, region = self._where(groups, settings)
        state = state_in(groups, resource_group, name)
        if state.live and not settings.region:
            region = state.live.region
        image, values = required_image(release), self._values({})
        place = planning.Place(
            groups.access.subscription, resource_group, region, "", pull=values.pulls(image, settings)
        )
        chosen = planning.course(state, release, settings, place)
        if chosen.way in ("create", "replace"):
            place = replace(place, group_name=free_name(groups, resource_group, state))
        return state, place, chosen

    def _values(self, secrets: Secrets) -> SecretValues:
        return SecretValues(secrets, self.credentials or registry_credentials())

    def _work(
        self,
        groups: ContainerGroups,
        name: str,
        resource_group: str,
        secrets: Secrets,
        progress: Progress,
        limit: float,
    ) -> update.Work:
        return update.Work(groups, name, resource_group, self._values(secrets), progress, limit)

    def _end_old(self, work: update.Work, name: str, drain_s: float) -> None:
        old = work.groups.get(work.resource_group, name)
        if old is None or not old.ours or old.facts.name != work.name:
            return
        if drain_s and old.runs:
            work.progress.step(f"letting {old.name} serve for {drain_s:g} s more")
            time.sleep(drain_s)
        work.progress.step(f"deleting {old.name}")
        update.delete(work, old)

    def _found(self, settings: AciSettings, name: str | None) -> tuple[Deployment, ...]:
        if self.access is None and not _asked_for(settings) and not account_configured():
            logger.info("no deployments on aci: no Azure account is configured")
            return ()
        try:
            with self._groups(settings) as groups:
                return self._described_groups(groups, settings, name)
        except (NotSignedIn, EnvironmentMissing, CloudUnreachable) as error:
            # An account of Azure's own command line may be there for other work, and its login may have ended.
            nobodys = isinstance(error, EnvironmentMissing) or account_implied()
            if self.access is not None or _asked_for(settings) or not nobodys:
                raise
            logger.info("no deployments on aci: %s", error.message)
            return ()

    def _described_groups(
        self, groups: ContainerGroups, settings: AciSettings, name: str | None
    ) -> tuple[Deployment, ...]:
        usual = None if groups.access.looks_everywhere else groups.access.resource_group
        every = groups.list(settings.resource_group or usual)
        wanted = {(g.resource_group.lower(), g.facts.name) for g in every if name in (None, g.facts.name)}
        found = []
        for resource_group, each in sorted(wanted, key=lambda pair: (pair[1], pair[0])):
            state = state_in(groups, resource_group, each, every)
            shown = state.live or (state.leftovers[0] if state.leftovers else None)
            if shown is not None:
                found.append(described(shown, state_now(groups, shown), groups))
        return tuple(found)


def _settings(deployment: Deployment) -> AciSettings:
    return AciSettings.model_validate(deployment.detail["settings"])


def _settings_of(plan: DeploymentPlan) -> AciSettings:
    return AciSettings.model_validate(plan.settings, from_attributes=True)


def _asked_for(settings: AciSettings) -> bool:
    return bool(settings.subscription or settings.resource_group)
