"""Fakes that implement dray's own protocols."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packager.core.artifact import ModelPackage, Release
from packager.core.deployment import (
    Action,
    Candidate,
    Change,
    Deployment,
    DeploymentPlan,
    Findings,
    State,
    TargetSettings,
)
from packager.core.errors import InvocationError
from packager.core.progress import Progress
from packager.core.protocols import InferenceClient, Secrets, Target
from runtime.contract.manifest import TensorSpec
from runtime.contract.wire import InferenceRequest, InferenceResponse, ModelMetadata, Tensor, TensorMetadata

FAKE_RUNTIME = str(Path(__file__).parent / "fake_runtime.py")


def fake_program(mode: str = "ok") -> tuple[str, ...]:
    """The command line of the stand-in for the runtime, for ``LocalTarget(program=...)``."""
    return (sys.executable, "-P", FAKE_RUNTIME, mode)


class RecordedProgress(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.details: list[str] = []

    def step(self, message: str) -> None:
        self.steps.append(message)

    def advance(self, done: int, total: int) -> None:
        self.details.append(f"{done}/{total}")

    def detail(self, message: str) -> None:
        self.details.append(message)


class PackageClient(InferenceClient):
    """Serves a package's own test data from memory; ``change`` may alter an answer on its way out.

    Attributes:
        lenient: Pays no heed to the names of inputs.
        status: Of the refusal of an unknown request.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        change: Callable[[Tensor], Tensor | None] = lambda tensor: tensor,
        digest: str | None = None,
        lenient: bool = False,
        status: int = 400,
    ) -> None:
        self.package = package
        self.change = change
        self.digest = digest or package.digest
        self.lenient = lenient
        self.status = status
        self.requests: list[InferenceRequest] = []

    def ready(self) -> bool:
        return True

    def metadata(self, model: str) -> ModelMetadata:
        manifest = self.package.manifest
        return ModelMetadata(
            name=manifest.name,
            versions=[manifest.version],
            platform="fake",
            inputs=[_metadata(spec) for spec in manifest.signature.inputs],
            outputs=[_metadata(spec) for spec in manifest.signature.outputs],
            parameters={"digest": self.digest, "version": manifest.version},
        )

    def infer(self, model: str, request: InferenceRequest, *, timeout_s: float) -> InferenceResponse:
        self.requests.append(request)
        shapes = {tensor.name: tuple(tensor.shape) for tensor in request.inputs}
        wanted = {output.name for output in request.outputs or ()}
        for case in self.package.test_data_sets():
            expected = {tensor.name: tensor.shape for tensor in case.inputs}
            if shapes == expected or (self.lenient and list(shapes.values()) == list(expected.values())):
                tensors = [
                    Tensor(name=t.name, shape=list(t.shape), datatype=t.dtype, data=[_json(v) for v in t.to_list()])
                    for t in case.outputs
                    if not wanted or t.name in wanted
                ]
                changed = [new for tensor in tensors if (new := self.change(tensor)) is not None]
                return InferenceResponse(model_name=model, outputs=changed)
        detail = {"status": self.status, "error_code": "E-INPUT"}
        raise InvocationError(f"answered {self.status} (E-INPUT): unknown inputs {sorted(shapes)}", detail=detail)


class MemorySettings(TargetSettings):
    """Settings of ``MemoryTarget``."""

    size: int = 1


class MemoryTarget(Target[MemorySettings]):
    """A target without a world: deployments are entries of a dict, and every step can be told to fail.

    Attributes:
        fail_at: Errors to raise, by step: apply, promote, discard.
        journal: The steps that were taken.
    """

    name = "memory"
    settings_type = MemorySettings
    takes_image = False

    def __init__(self, name: str = "memory", client: Callable[[ModelPackage], InferenceClient] = PackageClient) -> None:
        self.name = name  # type: ignore[misc]
        self.client = client
        self.findings: Findings = ()
        self.fail_at: dict[str, BaseException] = {}
        self.journal: list[str] = []
        self.live: dict[str, tuple[Release, MemorySettings]] = {}
        self.before: dict[str, tuple[Release, MemorySettings]] = {}
        self.candidates: dict[str, Release] = {}

    def preflight(self, settings: MemorySettings) -> Findings:
        return self.findings

    def plan(self, name: str, release: Release, settings: MemorySettings) -> DeploymentPlan:
        old = self.live.get(name)
        body = {"digest": release.package.digest, "size": settings.size}
        if old is None:
            actions = (Action("create", f"entry {name}", body),)
        elif (old[0].package.digest, old[1]) == (release.package.digest, settings):
            actions = (Action("keep", f"entry {name}", body),)
        else:
            before, after = old[0].package, release.package
            changes = (
                Change("version", before.manifest.version, after.manifest.version),
                Change("digest", before.digest, after.digest),
            )
            actions = (Action("update", f"entry {name}", body, changes),)
        return DeploymentPlan(self.name, name, actions, release, settings, live=self.inspect(name, settings))

    def apply(self, plan: DeploymentPlan, secrets: Secrets, progress: Progress, *, timeout_s: float) -> Candidate:
        self._step("apply")
        self.candidates[plan.name] = plan.release
        return Candidate(self._deployment(plan.name, plan.release, "pending"), plan)

    @contextmanager
    def connect(self, deployment: Deployment) -> Iterator[InferenceClient]:
        release = self.candidates.get(deployment.name) if deployment.state == "pending" else None
        yield self.client((release or self.live[deployment.name][0]).package)

    def promote(self, candidate: Candidate, progress: Progress) -> Deployment:
        self._step("promote")
        plan = candidate.plan
        if plan.name in self.live:
            self.before[plan.name] = self.live[plan.name]
        settings = MemorySettings.model_validate(plan.settings, from_attributes=True)
        self.live[plan.name] = (self.candidates.pop(plan.name), settings)
        return self._deployment(plan.name, plan.release, "running")

    def discard(self, candidate: Candidate, progress: Progress) -> None:
        self._step("discard")
        self.candidates.pop(candidate.deployment.name, None)

    def inspect(self, name: str, settings: MemorySettings) -> Deployment | None:
        entry = self.live.get(name)
        return self._deployment(name, entry[0], "running") if entry else None

    def deployments(self, settings: MemorySettings) -> tuple[Deployment, ...]:
        return tuple(self._deployment(name, release, "running") for name, (release, _) in sorted(self.live.items()))

    def logs(self, deployment: Deployment, *, follow: bool) -> Iterator[str]:
        return iter(self.journal)

    def previous(self, deployment: Deployment) -> tuple[Release, MemorySettings] | None:
        return self.before.get(deployment.name)

    def destroy(self, deployment: Deployment, progress: Progress) -> None:
        self.live.pop(deployment.name, None)

    def _step(self, name: str) -> None:
        self.journal.append(name)
        if error := self.fail_at.pop(name, None):
            raise error

    def _deployment(self, name: str, release: Release, state: State) -> Deployment:
        manifest = release.package.manifest
        return Deployment(
            name=name, target=self.name, state=state, endpoint=f"memory://{name}", model=manifest.name,
            version=manifest.version, digest=release.package.digest, package=None, image=None,
            created_at="2024-01-01T00:00:00+00:00",
        )  # fmt: skip


def _metadata(spec: TensorSpec) -> TensorMetadata:
    shape = [dim if isinstance(dim, int) else -1 for dim in spec.shape]
    return TensorMetadata(name=spec.name, datatype=spec.dtype, shape=shape)


def _json(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
