"""What a deployment would do, and what is worth knowing before it does."""

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from packager.core.artifact import Release
from packager.core.deployment import Deployment, DeploymentPlan, Finding, Findings, TargetSettings
from packager.core.errors import FAMILIES, DeploymentFailed, DrayError, InvocationError, NotReady, UsageError
from packager.core.protocols import Target
from runtime.contract.manifest import MANIFEST_NAME, ModelManifest, ModelName, Signature, TensorSpec
from runtime.contract.wire import TensorMetadata

S = TypeVar("S", bound=TargetSettings)
# Similar enough to be a slip of the fingers: `churn` and `chrun` score 0.8.
_CLOSE = 0.75
_NAME: TypeAdapter[str] = TypeAdapter(ModelName)


def check(target: Target[S], settings: S) -> Findings:
    """What the target says before anything is built; for its own error where it stops the deployment.

    Raises:
        DrayError: Of the first blocking finding's code.
    """
    findings = target.preflight(settings)
    refuse_blocking(findings)
    return findings


def plan(target: Target[S], name: str, release: Release, settings: S) -> DeploymentPlan:
    """The target's plan with what is to be known at this level; the same bytes on every call while nothing changes.

    Raises:
        UsageError: ``name`` cannot name a deployment.
        DrayError: Of the first blocking finding's code.
    """
    check_name(name)
    early = check(target, settings)
    made = target.plan(name, release, settings)
    findings = (*early, *made.findings)
    refuse_blocking(findings)
    if made.live is None:
        return replace(made, findings=(*findings, *_close_names(target, name, settings)))
    reasons, notes = _signature_changes(target, made.live, release)
    return replace(made, findings=(*findings, *notes), confirm=(*made.confirm, *reasons))


def check_name(name: str) -> None:
    """Refuse a name that could not stand in a URL, a folder name or a tag.

    Raises:
        UsageError: With what a name may hold.
    """
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        raise UsageError(
            f"not a name for a deployment: {name!r}",
            hint="a letter or digit, then up to 127 letters, digits, dots, hyphens or underscores",
        ) from error


def refuse_blocking(findings: Sequence[Finding]) -> None:
    """Raise the first blocking finding as the error of its code; the others stand in the detail."""
    blocking = [finding for finding in findings if finding.blocking]
    if not blocking:
        return
    first = blocking[0]
    kind = _error_class(first.code)
    more = [{"code": other.code, "message": other.message, "hint": other.hint} for other in blocking]
    rest = f" (and {len(blocking) - 1} more)" if len(blocking) > 1 else ""
    raise kind(first.message + rest, hint=first.hint, detail={"findings": more})


def _error_class(code: str) -> type[DrayError]:
    """The class with this code, plugins' own among them, so that the exit status is that of its family."""
    waiting: list[type[DrayError]] = list(FAMILIES)
    while waiting:
        kind = waiting.pop()
        if kind.__dict__.get("code") == code:
            return kind
        waiting += kind.__subclasses__()
    return DeploymentFailed


def _close_names(target: Target[S], name: str, settings: S) -> Findings:
    names = [deployment.name for deployment in target.deployments(settings)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=_CLOSE)
    if not close:
        return ()
    return (
        Finding(
            "E-CLOSE-NAME",
            f"{name!r} is new and stands close to {close[0]!r}, which is deployed already",
            hint=f"to update that one, deploy under its name: -n {close[0]}",
        ),
    )


def _signature_changes(target: Target[Any], live: Deployment, release: Release) -> tuple[tuple[str, ...], Findings]:
    """Reasons for a person to agree, and a finding where the live signature cannot be read."""
    manifest = release.package.manifest
    if live.digest == release.package.digest:
        return (), ()
    serving = _live_signature(target, live)
    if serving is None:
        message = f"the signature that {live.name!r} serves now cannot be read, so it was not compared"
        return (), (Finding("E-SIGNATURE-UNKNOWN", message, hint="compare them yourself if clients depend on it"),)
    differences = [
        *_differences("input", serving[0], _shapes(manifest.signature.inputs)),
        *_differences("output", serving[1], _shapes(manifest.signature.outputs)),
    ]
    return tuple(f"the signature changes: {difference}" for difference in differences), ()


_Shapes = dict[str, str]


def _live_signature(target: Target[Any], live: Deployment) -> tuple[_Shapes, _Shapes] | None:
    """From the package that serves where it is at hand, else from the endpoint itself."""
    if live.package and (signature := _manifest_signature(Path(live.package), live)):
        return _shapes(signature.inputs), _shapes(signature.outputs)
    if live.state != "running":
        return None
    try:
        with target.connect(live) as client:
            metadata = client.metadata(live.model)
    except (InvocationError, NotReady):
        return None
    return _metadata_shapes(metadata.inputs), _metadata_shapes(metadata.outputs)


def _manifest_signature(package: Path, live: Deployment) -> Signature | None:
    try:
        manifest = ModelManifest.model_validate_json((package / MANIFEST_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return manifest.signature if (manifest.name, manifest.version) == (live.model, live.version) else None


def _shapes(specs: Sequence[TensorSpec]) -> _Shapes:
    return {spec.name: f"{spec.dtype}{[d if isinstance(d, int) else -1 for d in spec.shape]}" for spec in specs}


def _metadata_shapes(tensors: Sequence[TensorMetadata]) -> _Shapes:
    return {tensor.name: f"{tensor.datatype}{tensor.shape}" for tensor in tensors}


def _differences(side: str, before: _Shapes, after: _Shapes) -> list[str]:
    gone = [f"{side} {name!r} ({before[name]}) is gone" for name in before if name not in after]
    new = [f"{side} {name!r} ({after[name]}) is new" for name in after if name not in before]
    changed = [
        f"{side} {name!r} becomes {after[name]}, was {before[name]}"
        for name in before
        if name in after and before[name] != after[name]
    ]
    return [*gone, *new, *changed]
