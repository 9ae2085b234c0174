"""Deployments to Kubernetes, known by their objects' labels and annotations; nothing about them is kept elsewhere."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

from packager.core.artifact import Release
from packager.core.credentials import CredentialSource
from packager.core.credentials_azure import registry_credentials
from packager.core.deployment import Candidate, Deployment, DeploymentPlan, Findings
from packager.core.errors import (
    CloudUnreachable,
    ConfigurationError,
    DeploymentMissing,
    DrayError,
    EnvironmentMissing,
    Forbidden,
    NotSignedIn,
)
from packager.core.http_client import HttpInferenceClient
from packager.core.image import ImageRef, Platform
from packager.core.progress import Progress
from packager.core.protocols import Gradual, Secrets, Target
from runtime.contract.package import read_package
from targets.aks import findings
from targets.aks.access import cluster_access
from targets.aks.reach import client_of, lines_of
from targets.aks.settings import AksSettings
from targets.aks.view import PLACE, TARGET, described, detail_of, readable_record, settings_of
from targets.kit.kubernetes import change
from targets.kit.kubernetes.access import KubernetesAccess, cluster_configured
from targets.kit.kubernetes.cluster import Cluster
from targets.kit.kubernetes.course import Course, actions, course, required_image
from targets.kit.kubernetes.kinds import key_of
from targets.kit.kubernetes.objects import Wanted
from targets.kit.kubernetes.objects.wanted import DRAY, MANAGED_BY
from targets.kit.kubernetes.record import Served
from targets.kit.kubernetes.secrets import SecretValues
from targets.kit.kubernetes.state import Deployed, read
from targets.kit.ownership import owned
from targets.kit.packages import keep_package, kept_package

logger = logging.getLogger(__name__)
_TAKEN_UP_S = 600.0
_ROUTES = {"gateway": "Gateway", "ingress": "Ingress"}


@dataclass(frozen=True, slots=True)
class AksTarget(Target[AksSettings], Gradual):
    """Deployments are sets of objects of one namespace.

    Attributes:
        access: To the cluster; None asks the settings, the environment and the kubeconfig.
        credentials: Of registries, for pulling; None asks what every command asks.
        made_for: The target that this one's deployments are made for; None for its own.
    """

    name: ClassVar[str] = TARGET
    settings_type = AksSettings
    takes_image: ClassVar[bool] = True
    access: KubernetesAccess | None = None
    credentials: CredentialSource | None = field(default=None, repr=False)
    made_for: str | None = field(default=None, kw_only=True)

    def platforms(self, settings: AksSettings) -> tuple[Platform, ...]:
        """Linux, on the processors that the settings name."""
        return (Platform("linux", settings.architecture),)

    def preflight(self, settings: AksSettings) -> Findings:
        """Whether a cluster is named and answers, and who could reach the endpoint."""
        try:
            with self._cluster(settings) as cluster:
                cluster.version()
        except DrayError as error:
            return (findings.of_error(error),)
        return findings.early(settings)

    def plan(self, name: str, release: Release, settings: AksSettings) -> DeploymentPlan:
        """The objects that would be applied, and what that would change."""
        required_image(release)
        with self._cluster(settings) as cluster:
            state, chosen = self._course(cluster, name, release, settings)
            held: Findings = ()
            try:
                change.refuse_if_busy(state, self.name)
                change.refuse_conflicts(cluster, chosen, state, force=settings.force_conflicts)
            except Forbidden as error:  # who may only read may plan as well
                logger.info("conflicts with others were not looked for: %s", error.message)
            except DrayError as error:
                held = (findings.of_error(error),)
            return DeploymentPlan(
                target=self.name,
                name=name,
                actions=actions(state, chosen),
                release=release,
                settings=settings,
                live=self._described(cluster, state, settings) if state.record and state.record.live else None,
                findings=(*held, *findings.absent(cluster, settings), *findings.late(chosen, release)),
            )

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        """The release, ready: in the other slot, or where the live one was."""
        settings = _settings_of(plan)
        if settings.kserve:
            raise ConfigurationError(
                "an InferenceService is rendered by dray, and rolled out by KServe",
                hint="dray plan … -o yaml | kubectl apply --server-side -f -",
            )
        with self._cluster(settings) as cluster:
            state, chosen = self._course(cluster, plan.name, plan.release, settings)
            change.refuse_if_busy(state, self.name)
            if chosen.way == "keep":
                return Candidate(self._described(cluster, state, settings), plan, handle={"way": "keep"})
            keep_package(plan.release.package)
            work = self._work(cluster, plan.name, settings, secrets, progress, timeout_s)
            record = change.begin(work, chosen, state)
            put = change.put_beside if chosen.way == "beside" else change.put_in_place
            put(work, chosen, record, state)
            handle = {"way": chosen.way, "canary": chosen.canary, "step": 0}
            return Candidate(self._candidate(cluster, plan, chosen, settings), plan, handle=handle)

    def advance(self, candidate: Candidate, progress: Progress) -> Candidate | None:
        """With its next share of the traffic, where it is a canary."""
        plan, handle = candidate.plan, candidate.handle
        settings = _settings_of(plan)
        if not handle.get("canary") or handle["step"] >= len(settings.steps):
            return None
        with self._cluster(settings) as cluster:
            work = self._work(cluster, plan.name, settings, {}, progress, _TAKEN_UP_S)
            change.shift(work, settings.steps[handle["step"]])
        return Candidate(candidate.deployment, plan, handle={**handle, "step": handle["step"] + 1})

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[HttpInferenceClient]:
        """A client of it, at its endpoint or through the API server."""
        with self._cluster(_settings(deployment)) as cluster, client_of(cluster, deployment) as client:
            yield client

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        """Move the traffic to it, and take away what only the old one needed."""
        if candidate.handle["way"] == "keep":
            return candidate.deployment
        plan = candidate.plan
        settings = _settings_of(plan)
        with self._cluster(settings) as cluster:
            change.take(self._work(cluster, plan.name, settings, {}, progress, _TAKEN_UP_S))
            return self._shown(cluster, plan.name, settings)

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        """Bring back what served before."""
        plan = candidate.plan
        if candidate.handle["way"] == "keep":
            return
        settings = _settings_of(plan)
        with self._cluster(settings) as cluster:
            change.undo(self._work(cluster, plan.name, settings, {}, progress, _TAKEN_UP_S))

    def inspect(self, name: str, settings: AksSettings) -> Deployment | None:
        """The deployment as its objects show it; ``pending`` while its only pods are being tested."""
        return next((each for each in self._found(settings) if each.name == name), None)

    def deployments(self, settings: AksSettings) -> tuple[Deployment, ...]:
        """All of dray's deployments in the namespace."""
        return self._found(settings)

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        """Lines of its pods; with ``follow``, of the youngest one."""
        with self._cluster(_settings(deployment)) as cluster:
            yield from lines_of(cluster, deployment, follow=follow)

    def previous(self, deployment: Deployment) -> tuple[Release | ImageRef, AksSettings] | None:
        """The release before, as the record remembers it."""
        settings = _settings(deployment)
        with self._cluster(settings) as cluster:
            record = read(cluster, deployment.name, ()).record
        before = record.previous if record else None
        if before is None:
            return None
        way = {key: getattr(settings, key) for key in (*PLACE, "namespace")}
        image, package = ImageRef.parse(before.image), kept_package(before.package)
        chosen = settings_of(before).model_copy(update=way)
        return (Release(read_package(package), image) if package else image), chosen

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        """Delete every object of this name; the namespace stays."""
        progress.step(f"deleting {deployment.name}")
        settings = _settings(deployment)
        with self._cluster(settings) as cluster:
            change.refuse_if_busy(read(cluster, deployment.name, ()), self.name)
            change.destroy(self._work(cluster, deployment.name, settings, {}, progress, _TAKEN_UP_S))

    def _cluster(self, settings: AksSettings) -> Cluster:
        return Cluster(self.access or cluster_access(settings), settings.namespace)

    def _course(self, cluster: Cluster, name: str, release: Release, settings: AksSettings) -> tuple[Deployed, Course]:
        state, image = read(cluster, name), required_image(release)
        served = Served.of(release, settings, pull=self._values({}).pulls(image, settings))
        live = state.record.live if state.record else None
        before = None
        if state.record and live:
            before = Wanted(name, cluster.namespace, live, settings_of(live), slot=state.record.slot)
        chosen = course(state, served, settings, cluster.namespace, before)
        missing = not state.objects and cluster.lacks_namespace()
        return state, replace(chosen, new_namespace=missing)

    def _values(self, secrets: Secrets) -> SecretValues:
        return SecretValues(secrets, self.credentials or registry_credentials())

    def _work(
        self, cluster: Cluster, name: str, settings: AksSettings, secrets: Secrets, progress: Progress, limit_s: float
    ) -> change.Work:
        return change.Work(
            cluster, self.name, name, settings_of, self._values(secrets), progress, limit_s, settings.force_conflicts
        )

    def _candidate(self, cluster: Cluster, plan: DeploymentPlan, chosen: Course, settings: AksSettings) -> Deployment:
        """The release that is tried, reached at its own pods."""
        shown = self._shown(cluster, plan.name, settings)
        served = chosen.wanted.served
        package = kept_package(served.package)
        return Deployment(
            name=plan.name,
            target=self.name,
            state="pending",
            endpoint=shown.endpoint,
            model=served.model,
            version=served.version,
            digest=served.package,
            package=str(package) if package else None,
            image=served.image,
            created_at=shown.created_at,
            detail={**detail_of(chosen.wanted, settings), "candidate": True},
        )

    def _shown(self, cluster: Cluster, name: str, settings: AksSettings) -> Deployment:
        """As it is now, from what shows that and nothing else."""
        kinds = ("Deployment", *([_ROUTES[settings.route]] if settings.route else []))
        return self._described(cluster, read(cluster, name, kinds), settings)

    def _described(self, cluster: Cluster, state: Deployed, settings: AksSettings) -> Deployment:
        if state.record is None:
            raise DeploymentMissing(f"{state.name!r} has no record any more", hint="somebody deleted it; deploy again")
        return described(state.name, state.record, state.objects, cluster, settings)

    def _found(self, settings: AksSettings) -> tuple[Deployment, ...]:
        asked = bool(self.access or settings.context or settings.kubeconfig or settings.cluster)
        if not asked and not cluster_configured():
            logger.info("no deployments on aks: no cluster is configured")
            return ()
        try:
            with self._cluster(settings) as cluster:
                return self._every(cluster, settings)
        except (NotSignedIn, EnvironmentMissing, CloudUnreachable, ConfigurationError) as error:
            # A kubeconfig may be there for other work, and its cluster may be stopped.
            if asked:
                raise
            logger.info("no deployments on aks: %s", error.message)
            return ()

    def _every(self, cluster: Cluster, settings: AksSettings) -> tuple[Deployment, ...]:
        """With as many requests for two hundred as for one."""
        ours = {MANAGED_BY: DRAY}
        objects = {key_of(each): each for each in cluster.list("Service", ours)}
        known = [found for each in objects.values() if (found := readable_record(each))]
        if not known:
            return ()
        routes = {settings_of(record.shown).route for _, record in known if record.shown} - {None}
        kinds = ("Deployment", *(_ROUTES[route] for route in sorted(map(str, routes))))
        for kind in kinds:
            objects |= {key_of(each): each for each in cluster.list(kind, ours)}
        rows = [described(name, record, objects, cluster, settings) for name, record in known]
        return tuple(sorted(owned(rows, self.made_for), key=lambda row: row.name))


def _settings(deployment: Deployment) -> AksSettings:
    return AksSettings.model_validate(deployment.detail["settings"])


def _settings_of(plan: DeploymentPlan) -> AksSettings:
    return AksSettings.model_validate(plan.settings, from_attributes=True)
