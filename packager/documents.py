"""What commands print with ``-o json`` and what the Python interface returns: one typed document each."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, RootModel

from packager.core.artifact import ModelPackage
from packager.core.circuit import CircuitSummary
from packager.core.deployment import Deployment, DeploymentPlan
from packager.core.edge import EdgeMessage
from packager.core.image import BuiltImage
from packager.core.smoke import SmokeReport
from runtime.contract.certificate import BatchSafety, Certificate, Parity
from runtime.contract.manifest import ModelManifest, OutputTolerance, Signature
from runtime.contract.transformation import Transformation
from runtime.contract.wire import InferenceResponse


class Printable(Protocol):
    """What a command can print as JSON."""

    def to_json(self) -> str:
        """The document as indented JSON."""
        ...


class Document(BaseModel):
    """Base of the documents."""

    model_config = ConfigDict(frozen=True)

    def to_json(self) -> str:
        """The document as indented JSON."""
        return self.model_dump_json(indent=2)


class PackageDocument(Document):
    """A model package: where it is, what it is, and what vouches for it."""

    package: str
    name: str
    version: str
    digest: str
    framework: str
    reference: str
    parity: Parity | None
    batch_safety: BatchSafety
    signature: Signature
    transform: Transformation | None = None
    tolerances: Mapping[str, OutputTolerance] | None = None
    circuit: CircuitSummary | None = None
    trusted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, package: ModelPackage) -> "PackageDocument":
        """The document of a verified package."""
        manifest, certificate = package.manifest, package.certificate
        return cls(
            package=str(package.root),
            name=manifest.name,
            version=manifest.version,
            digest=package.digest,
            framework=manifest.source.framework,
            reference=certificate.reference,
            parity=certificate.parity,
            batch_safety=certificate.batch_safety,
            signature=manifest.signature,
            transform=certificate.transform,
            tolerances=manifest.tolerances,
            circuit=CircuitSummary.of(package),
            trusted=certificate.trusted,
            notes=certificate.notes,
        )


class InspectDocument(ModelManifest):
    """The manifest, with the certificate and the digest that was checked."""

    package: str
    digest: str
    certificate: Certificate

    @classmethod
    def of(cls, package: ModelPackage) -> "InspectDocument":
        """The document of a verified package."""
        manifest = package.manifest
        fields = {name: getattr(manifest, name) for name in ModelManifest.model_fields}
        return cls(**fields, package=str(package.root), digest=package.digest, certificate=package.certificate)

    def to_json(self) -> str:
        """The document as indented JSON."""
        return self.model_dump_json(indent=2)


class CheckDocument(Document):
    """One check of a smoke test."""

    name: str
    passed: bool
    detail: str
    duration_ms: float
    max_abs_error: float | None
    rows: int | None


class SmokeDocument(Document):
    """A smoke report."""

    passed: bool
    checks: tuple[CheckDocument, ...]

    @classmethod
    def of(cls, report: SmokeReport) -> "SmokeDocument":
        """The document of a report."""
        return cls.model_validate(report.as_dict())


class DeploymentDocument(Document):
    """A deployment as its target shows it."""

    name: str
    target: str
    state: str
    endpoint: str | None
    model: str
    version: str
    digest: str
    package: str | None
    image: str | None
    created_at: str
    detail: Mapping[str, Any]

    @classmethod
    def fields_of(cls, deployment: Deployment) -> dict[str, Any]:
        """The fields that every document about a deployment has."""
        return {name: getattr(deployment, name) for name in DeploymentDocument.model_fields}

    @classmethod
    def of(cls, deployment: Deployment) -> "DeploymentDocument":
        """The document of a deployment."""
        return cls(**cls.fields_of(deployment))


class StatusDocument(RootModel[tuple[DeploymentDocument, ...]]):
    """Deployments; a list in JSON."""

    def to_json(self) -> str:
        """The list as indented JSON."""
        return self.model_dump_json(indent=2)


class AnswerDocument(RootModel[InferenceResponse]):
    """An endpoint's answer."""

    def to_json(self) -> str:
        """The answer as indented JSON."""
        return self.model_dump_json(indent=2, exclude_none=True)


class DeployDocument(DeploymentDocument):
    """A deployment that has just passed its smoke tests.

    Attributes:
        actions: Verb and resource of every step that was taken.
        seconds: By stage, wall-clock.
    """

    smoke: SmokeDocument
    circuit: CircuitSummary | None = None
    actions: tuple[str, ...] = ()
    seconds: Mapping[str, float] = {}


class DeletedDocument(Document):
    """A deployment that is gone."""

    name: str
    target: str
    state: str


class SentDocument(Document):
    """Messages that a leaf device sent, as many on each device, and the ids that answers will name."""

    name: str
    devices: Mapping[str, int]
    message_ids: str

    def to_text(self) -> str:
        """A line a device."""
        return "\n".join(f"{count} sent on {device}, {self.message_ids}" for device, count in self.devices.items())


class MessageDocument(Document):
    """A message that came up from an edge device; its body as JSON, or as text where it is none."""

    number: int
    at: str
    device: str
    module: str
    output: str
    properties: Mapping[str, str]
    system: Mapping[str, str]
    body: Any

    @classmethod
    def of(cls, message: EdgeMessage) -> "MessageDocument":
        """The document of a message."""
        text = message.body.decode("utf-8", "replace")
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        return cls(
            number=message.number,
            at=message.at,
            device=message.device,
            module=message.module,
            output=message.output,
            properties=message.properties,
            system=message.system,
            body=body,
        )

    def to_text(self) -> str:
        """One line."""
        named = " ".join(f"{name}={value}" for name, value in sorted({**self.system, **self.properties}.items()))
        body = self.body if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False)
        return f"{self.number}  {self.device}/{self.module} {self.output}  {named}  {body}"


class WatchDocument(RootModel[tuple[MessageDocument, ...]]):
    """Messages that came up from edge devices."""

    def to_json(self) -> str:
        """The document as indented JSON."""
        return self.model_dump_json(indent=2)


class ActionDocument(Document):
    """One action of a plan; ``changes`` holds [before, after] by field."""

    verb: str
    resource: str
    body: Mapping[str, Any]
    changes: Mapping[str, tuple[Any, Any]]


class PlanDocument(Document):
    """What a deployment would change."""

    target: str
    name: str
    actions: tuple[ActionDocument, ...]
    findings: tuple[Mapping[str, Any], ...]
    confirm: tuple[str, ...]
    changes_anything: bool

    @classmethod
    def of(cls, plan: DeploymentPlan) -> "PlanDocument":
        """The document of a plan."""
        actions = tuple(
            ActionDocument(
                verb=action.verb,
                resource=action.resource,
                body=action.body,
                changes={change.field: (change.before, change.after) for change in action.changes},
            )
            for action in plan.actions
        )
        findings = tuple(
            {"code": f.code, "message": f.message, "hint": f.hint, "blocking": f.blocking} for f in plan.findings
        )
        return cls(
            target=plan.target,
            name=plan.name,
            actions=actions,
            findings=findings,
            confirm=plan.confirm,
            changes_anything=plan.changes_anything,
        )


class LayerDocument(Document):
    """One layer of an image."""

    name: str
    digest: str
    diff_id: str
    size_bytes: int
    unpacked_bytes: int | None


class ImageDocument(Document):
    """A container image: its name with the digest, and what it is made of."""

    image: str
    digest: str
    platforms: tuple[str, ...]
    size_bytes: int
    layers: Mapping[str, tuple[LayerDocument, ...]]
    package: str
    package_digest: str
    location: str | None
    places: tuple[str, ...]
    sent_bytes: int | None = None

    @classmethod
    def of(
        cls, built: BuiltImage, *, package: ModelPackage, places: tuple[str, ...], sent_bytes: int | None
    ) -> "ImageDocument":
        """The document of a built image."""
        layers = {
            str(platform): tuple(
                LayerDocument(
                    name=layer.name,
                    digest=layer.descriptor.digest,
                    diff_id=layer.diff_id,
                    size_bytes=layer.descriptor.size,
                    unpacked_bytes=layer.unpacked_bytes,
                )
                for layer in found
            )
            for platform, found in built.layers.items()
        }
        return cls(
            image=str(built.ref),
            digest=built.digest,
            platforms=tuple(map(str, built.platforms)),
            size_bytes=built.size_bytes,
            layers=layers,
            package=str(package.root),
            package_digest=package.digest,
            location=built.location,
            places=places,
            sent_bytes=sent_bytes,
        )


class VerifiedImageDocument(Document):
    """An image that holds the package that it claims."""

    image: str
    digest: str
    package_digest: str
    platforms: tuple[str, ...]
