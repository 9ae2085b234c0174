"""A deployment, from plan to record. Plans hold secrets as references only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from packager.core.artifact import Release
from packager.core.errors import DrayError

Verb = Literal["create", "update", "replace", "delete", "keep"]
State = Literal["pending", "running", "unhealthy", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class ProviderAsked:
    """An execution provider of ONNX Runtime that shall do the work, and whether it must."""

    name: str
    must: bool


class TargetSettings(BaseModel):
    """Base of a target's settings: what ``--set`` and dray.yaml may say. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def provider_asked(self) -> ProviderAsked | None:
        """What the image's ONNX Runtime has to bring besides the CPU; None for nothing."""
        return None


@dataclass(frozen=True, slots=True)
class Change:
    """One field that an action changes; None stands for absent."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Action:
    """One request or step of a plan, as it will be made.

    Attributes:
        resource: What it acts on, in the target's own words.
        body: As sent (JSON values), secrets as references.
    """

    verb: Verb
    resource: str
    body: Mapping[str, Any] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that preflight or planning noticed.

    Attributes:
        blocking: True ends the deployment before it begins, with ``code``.
    """

    code: str
    message: str
    hint: str = ""
    blocking: bool = False

    @classmethod
    def of_error(cls, error: DrayError) -> "Finding":
        """An error that would stop the deployment."""
        return cls(error.code, error.message, error.hint, blocking=True)


Findings = tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as its target shows it now.

    Attributes:
        endpoint: URL that clients use; None while there is none.
        version: The model's. ``digest``: the package's.
        created_at: ISO 8601, UTC; when this release began to serve.
        detail: The target's own facts (pid, log file, resource ids), JSON values.
    """

    name: str
    target: str
    state: State
    endpoint: str | None
    model: str
    version: str
    digest: str
    package: str | None
    image: str | None
    created_at: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """What a deployment would do, exactly.

    Attributes:
        settings: Of the target's ``settings_type``.
        live: What serves under this name now.
        confirm: Reasons why a person must agree (``--yes``); empty when none is needed.
    """

    target: str
    name: str
    actions: tuple[Action, ...]
    release: Release
    settings: TargetSettings
    live: Deployment | None = None
    findings: Findings = ()
    confirm: tuple[str, ...] = ()

    @property
    def changes_anything(self) -> bool:
        """False when everything is kept."""
        return any(action.verb != "keep" for action in self.actions)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A new release that runs beside the old one and is not yet in its place.

    Attributes:
        deployment: Where the candidate answers now; its endpoint may differ from the final one.
        handle: The target's own facts about it, JSON values.
        waits: Why it cannot be tested yet, where its place is out of reach; empty for one that can.
    """

    deployment: Deployment
    plan: DeploymentPlan
    handle: Mapping[str, Any] = field(default_factory=dict)
    waits: str = ""
