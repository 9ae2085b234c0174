"""The AKS target against the stand-in's Kubernetes API in this process, over runners that need no registry."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packager.core.artifact import ModelPackage, Release
from packager.core.credentials import Anonymous, CredentialSource
from targets.aks import AksTarget
from targets.kit.kubernetes.access import KubernetesAccess, token_access
from targets.kit.kubernetes.cluster import Cluster
from targets.kit.kubernetes.kinds import OF_A_DEPLOYMENT
from targets.rehearsal.kubernetes.app import create_app
from targets.rehearsal.kubernetes.faults import FAULTS
from targets.rehearsal.world import Faults
from tests.support.aci_cloud import Killed, release_held
from tests.support.stand_in_server import TOKEN, serving_stand_in


@dataclass(frozen=True, slots=True)
class ImagedAksTarget(AksTarget):
    """The real target, with a way to make the images that its tests deploy."""

    runner: Any = None
    changed: Mapping[str, Any] = field(default_factory=dict)

    def release_for_tests(self, package: ModelPackage) -> Release:
        return release_held(self.runner, package, self.changed)


@dataclass
class AksCloud:
    """A stand-in that runs."""

    url: str
    ca: Path
    runner: Any
    faults: Faults

    def access(self, **changed: Any) -> KubernetesAccess:
        given: dict[str, Any] = {"poll_s": 0.02, "patience_s": 2.0, "reach": "rehearsal"}
        return token_access(self.url, TOKEN, ca_file=self.ca, **{**given, **changed})

    def target(
        self, access: KubernetesAccess | None = None, credentials: CredentialSource | None = None, **changed: Any
    ) -> ImagedAksTarget:
        return ImagedAksTarget(access or self.access(), credentials or Anonymous(), self.runner, changed)

    def cluster(self, namespace: str = "default") -> Cluster:
        return Cluster(self.access(), namespace)

    def stored(self, namespace: str = "default") -> set[tuple[str, str]]:
        """Kind and name of all that dray made."""
        with self.cluster(namespace) as cluster:
            found = (
                each
                for kind in OF_A_DEPLOYMENT
                for each in cluster.list(kind, {"app.kubernetes.io/managed-by": "dray"})
            )
            return {(each["kind"], each["metadata"]["name"]) for each in found}


@contextmanager
def aks_cloud(folder: Path, runner: Any) -> Iterator[AksCloud]:
    """Runs one until the block ends."""
    faults = Faults(FAULTS)
    with serving_stand_in(folder, create_app, faults, runner) as (url, ca):
        yield AksCloud(url, ca, runner, faults)


@dataclass
class Fuse:
    """Lets a number of requests through, and ends everything after them.

    Attributes:
        left: Of the requests; None lets all through.
        seen: Method and path of those that went through.
    """

    left: int | None = None
    seen: list[str] = field(default_factory=list)

    @property
    def before(self) -> Callable[[str, str], None]:
        def check(method: str, path: str) -> None:
            if self.left is not None and len(self.seen) >= self.left:
                raise Killed
            self.seen.append(f"{method} {path}")

        return check
