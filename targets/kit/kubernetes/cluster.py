"""Objects of one namespace of a cluster: read, applied, deleted."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from packager.core.errors import DeploymentMissing, FieldConflict, Forbidden, KindMissing, RequestRefused
from targets.kit.kubernetes.access import KubernetesAccess
from targets.kit.kubernetes.failures import only_own
from targets.kit.kubernetes.kinds import KINDS, key_of, words_for
from targets.kit.kubernetes.requests import APPLY, Requests

MANAGER: Final = "dray"
# Says numbers of pods where ``dray`` leaves them to others: what it once said, it would take away by saying nothing.
SCALE_MANAGER: Final = "dray-scale"
Object = dict[str, Any]


class Cluster:
    """A namespace; close it, or use it as a context manager."""

    def __init__(self, access: KubernetesAccess, namespace: str | None = None) -> None:
        """Connects on first use.

        Raises:
            EnvironmentMissing: The extra ``kubernetes`` is not installed.
            ConfigurationError: The kubeconfig cannot be used.
        """
        self.access = access
        self.namespace = namespace or access.namespace
        self.requests = Requests(access)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.requests.close()

    def version(self) -> str:
        """Of the API server."""
        return str(self.requests.ask("GET", "/version", "the version of the cluster").get("gitVersion") or "")

    def lacks_namespace(self) -> bool:
        """Whether the namespace is to be made; one that we may not look at is taken for there."""
        try:
            return self.get("Namespace", self.namespace) is None
        except Forbidden:
            return False

    def get(self, kind: str, name: str) -> Object | None:
        """An object as it is now; None where there is none."""
        try:
            found: Object = self.requests.ask("GET", KINDS[kind].path(self.namespace, name), words_for(kind, name))
        except (DeploymentMissing, KindMissing):
            return None
        return found

    def list(
        self, kind: str, selector: Mapping[str, str], *, fields: Mapping[str, str] | None = None
    ) -> tuple[Object, ...]:
        """Objects with these labels, by name; none where the cluster does not know the kind.

        None either of an add-on's kinds that we may not read: the role edit has no rights to them, and what nobody
        could make is not there.
        """
        query = {"labelSelector": _selector(selector)} if selector else {}
        if fields:
            query["fieldSelector"] = _selector(fields)
        known = KINDS[kind]
        try:
            answer = self.requests.ask("GET", known.path(self.namespace), f"the list of {known.plural}", query=query)
        except (DeploymentMissing, KindMissing):
            return ()
        except Forbidden:
            if known.optional:
                return ()
            raise
        # A list leaves out what its items are.
        rows = [{**each, "apiVersion": known.api, "kind": kind} for each in answer.get("items") or ()]
        return tuple(sorted(rows, key=lambda each: str(each["metadata"]["name"])))

    def apply(self, made: Object, *, force: bool = False, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Let an object be so, and own what it says; what others say of it stays theirs.

        Args:
            dry_run: Ask what would come of it, and change nothing.

        Raises:
            FieldConflict: Others own what it says otherwise.
            DrayError: The cluster's cause.
        """
        kind, name = key_of(made)
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": "true" if force else "false"}
        if dry_run:
            query["dryRun"] = "All"
        path, what = KINDS[kind].path(self.namespace, name), words_for(kind, name)
        try:
            answer: Object = self.requests.ask("PATCH", path, what, query=query, body=made, content_type=APPLY)
        except FieldConflict as error:
            if force or not only_own(error):
                raise
            return self.apply(made, force=True, manager=manager, dry_run=dry_run)
        return answer

    def say_scale(self, name: str, replicas: int) -> None:
        """Say how many pods a Deployment has, without owning the number beside an autoscaler or a person."""
        made = {
            "apiVersion": KINDS["Deployment"].api,
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"replicas": replicas},
        }
        self.apply(made, force=True, manager=SCALE_MANAGER)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, with what it made; gone already is fine."""
        path, what = KINDS[kind].path(self.namespace, name), words_for(kind, name)
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self.requests.ask("DELETE", path, what, body=options)
        except (DeploymentMissing, KindMissing):
            return

    def events(self, kind: str, name: str) -> tuple[str, ...]:
        """What was noticed about an object, oldest first, as ``Reason: message``."""
        fields = {"involvedObject.kind": kind, "involvedObject.name": name}
        rows = sorted(self.list("Event", {}, fields=fields), key=_when)
        return tuple(f"{each.get('reason')}: {' '.join(str(each.get('message')).split())}" for each in rows)

    def log(self, pod: str, container: str, *, tail: int | None = None, previous: bool = False) -> tuple[str, ...]:
        """Lines that a container has written; none where there is none that could have."""
        query = {"container": container, "previous": "true" if previous else "false"}
        if tail:
            query["tailLines"] = str(tail)
        path = f"{KINDS['Pod'].path(self.namespace, pod)}/log"
        try:
            text = self.requests.raw("GET", path, f"the log of pod/{pod}", query=query)
        except (DeploymentMissing, RequestRefused):  # the latter where the container has not begun
            return ()
        return tuple(text.decode("utf-8", "replace").splitlines())

    def follow(self, pod: str, container: str) -> Iterator[str]:
        """Lines of a container as they come, until it ends."""
        path, query = f"{KINDS['Pod'].path(self.namespace, pod)}/log", {"container": container, "follow": "true"}
        for line in self.requests.stream(path, f"the log of pod/{pod}", query):
            yield line.decode("utf-8", "replace")


def _when(event: Object) -> tuple[str, int, str]:
    """Times are of whole seconds; within one, what was written later has the larger version."""
    metadata = event["metadata"]
    version = str(metadata.get("resourceVersion") or "")
    when = event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp")
    return str(when), len(version), version


def _selector(given: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(given.items()))
