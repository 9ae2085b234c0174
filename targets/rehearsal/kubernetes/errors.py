"""Refusals of the API server, worded and shaped as the real one's: a ``Status`` object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from targets.rehearsal.kubernetes.resources import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason of several, as ``details.causes`` has it."""

    reason: str
    message: str
    field: str

    def body(self) -> dict[str, str]:
        """As JSON."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


@dataclass(eq=False)
class ApiError(Exception):
    """A request is refused.

    Attributes:
        reason: One of Kubernetes' reasons, such as ``NotFound``; empty for an error that it has no reason for.
    """

    status: int
    reason: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The ``Status``."""
        shown = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            shown["reason"] = self.reason
        if self.details:
            shown["details"] = dict(self.details)
        return {**shown, "code": self.status}


def _about(resource: Resource, name: str) -> dict[str, Any]:
    named = {"name": name} if name else {}
    return {**named, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}


def bad_request(message: str) -> ApiError:
    """It could not even be read."""
    return ApiError(400, "BadRequest", message)


def not_found(resource: Resource, name: str) -> ApiError:
    """No object of this name."""
    return ApiError(404, "NotFound", f'{resource.qualified} "{name}" not found', _about(resource, name))


def unknown_path() -> ApiError:
    """No resource is served there."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def wrong_method() -> ApiError:
    """The resource does not have this verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def already_exists(resource: Resource, name: str) -> ApiError:
    """Of a create."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _about(resource, name))


def stale(resource: Resource, name: str) -> ApiError:
    """Somebody changed it meanwhile."""
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, _about(resource, name))


def other_uid(resource: Resource, name: str, given: str, stored: str) -> ApiError:
    """A precondition names another object that had this name."""
    message = (
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": the UID in the precondition ({given}) '
        f"does not match the UID in record ({stored}). The object might have been deleted and then recreated"
    )
    return ApiError(409, "Conflict", message, _about(resource, name))


def field_conflicts(message: str, causes: Sequence[Cause]) -> ApiError:
    """Fields of an apply belong to others."""
    return ApiError(409, "Conflict", message, {"causes": [each.body() for each in causes]})


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> ApiError:
    """It can be read, and makes no sense."""
    words = [f"{each.field}: {each.message}" for each in causes]
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    listed = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    about = {
        "name": name,
        **({"group": resource.group} if resource.group else {}),
        "kind": resource.kind,
        "causes": [each.body() for each in causes],
    }
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', about)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """Admission or rights stand against it."""
    shown = (
        f'{resource.qualified} "{name}" is forbidden: {why}' if name else f"{resource.qualified} is forbidden: {why}"
    )
    return ApiError(403, "Forbidden", shown, _about(resource, name))


def unauthorized() -> ApiError:
    """No token, or another one."""
    return ApiError(401, "Unauthorized", "Unauthorized", headers={"WWW-Authenticate": 'Bearer realm="rehearsal"'})


def throttled(after_s: int) -> ApiError:
    """Priority and fairness let it wait."""
    message = "Too many requests, please try again later."
    details = {"retryAfterSeconds": after_s}
    return ApiError(429, "TooManyRequests", message, details, {"Retry-After": str(after_s)})


def expired(given: int, oldest: int) -> ApiError:
    """The history does not reach so far back."""
    return ApiError(410, "Expired", f"too old resource version: {given} ({oldest})")


def internal(message: str) -> ApiError:
    """Its own fault."""
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", details)


def unavailable(message: str) -> ApiError:
    """It cannot serve now."""
    return ApiError(503, "ServiceUnavailable", message)


def untyped(message: str) -> ApiError:
    """An apply that does not fit the schema: the real server has no reason for it and answers 500."""
    return ApiError(500, "", message)
