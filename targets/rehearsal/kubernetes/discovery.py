"""What the API serves, for clients that ask before they act: groups, resources, versions, OpenAPI."""

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from targets.rehearsal.kubernetes.calls import Answer
from targets.rehearsal.kubernetes.errors import unknown_path, wrong_method
from targets.rehearsal.kubernetes.resources import GROUPS, RESOURCES, Resource
from targets.rehearsal.kubernetes.shapes import definitions, newest_version

_REF: Final = "#/$defs/"
_SHOWN_REF: Final = "#/components/schemas/"
_OPENAPI: Final = "/openapi/v3"
_REVIEWS: Final = {"authorization.k8s.io": "v1", "authentication.k8s.io": "v1"}
_TEXT: Final = ("/healthz", "/livez", "/readyz")
_SUB_VERBS: Final[Mapping[str, list[str]]] = {
    "log": ["get"],
    "portforward": ["create", "get"],
    "scale": ["get", "patch", "update"],
    "status": ["get", "patch", "update"],
}


def described(method: str, path: str) -> Answer | None:
    """The answer to a question about the API; None where it is about objects."""
    path = path.rstrip("/") or "/"
    known = _describe(path)
    if known is not None and method not in ("GET", "HEAD"):
        raise wrong_method()
    return known


def _describe(path: str) -> Answer | None:
    if path in _TEXT:
        return Answer(200, "ok")
    if path == "/version":
        return Answer(200, _version())
    if path == "/api":
        return Answer(200, {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    if path == "/apis":
        groups = [_group(name, version) for name, version in _groups().items() if name]
        return Answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    if path.startswith(_OPENAPI):
        return Answer(200, _openapi(path.removeprefix(_OPENAPI).removeprefix("/")))
    parts = path.strip("/").split("/")
    if parts == ["api", "v1"]:
        return Answer(200, _resources("", "v1"))
    if parts[0] == "apis" and len(parts) in (2, 3):
        version = _groups().get(parts[1])
        if version is None or (len(parts) == 3 and parts[2] != version):
            raise unknown_path()
        return Answer(200, _group(parts[1], version) if len(parts) == 2 else _resources(parts[1], version))
    return None


def _groups() -> Mapping[str, str]:
    return {**GROUPS, **_REVIEWS}


def _version() -> dict[str, str]:
    major, minor, _ = newest_version().split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{newest_version()}+dray.rehearsal",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def _group(name: str, version: str) -> dict[str, Any]:
    shown = {"groupVersion": f"{name}/{version}", "version": version}
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [shown], "preferredVersion": shown}


def _resources(group: str, version: str) -> dict[str, Any]:
    listed = []
    for resource in RESOURCES:
        if resource.group == group:
            listed.append(_resource(resource))
            listed += [_subresource(resource, each) for each in resource.subresources]
    if group == "authorization.k8s.io":
        listed = [_review(kind) for kind in ("SelfSubjectAccessReview", "SelfSubjectRulesReview")]
    elif group == "authentication.k8s.io":
        listed = [_review("SelfSubjectReview")]
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": listed}


def _resource(resource: Resource) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
        "storageVersionHash": hashlib.sha256(resource.definition.encode()).hexdigest()[:8],
    }
    if resource.short:
        shown["shortNames"] = list(resource.short)
    if resource.categories:
        shown["categories"] = list(resource.categories)
    return shown


def _subresource(resource: Resource, name: str) -> dict[str, Any]:
    shown = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": "Scale" if name == "scale" else resource.kind,
        "verbs": _SUB_VERBS[name],
    }
    return {**shown, "group": "autoscaling", "version": "v1"} if name == "scale" else shown


def _review(kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    return {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind, "verbs": ["create"]}


def _openapi(rest: str) -> dict[str, Any]:
    """The index of documents, or one of them: of a group's resources alone."""
    if not rest:
        places = {"api/v1" if not name else f"apis/{name}/{version}": name for name, version in GROUPS.items()}
        return {"paths": {place: {"serverRelativeURL": f"{_OPENAPI}/{place}"} for place in places}}
    parts = rest.split("/")
    group = "" if parts == ["api", "v1"] else parts[1] if parts[0] == "apis" and len(parts) == 3 else None
    if group not in GROUPS:
        raise unknown_path()
    return _document(group)


@cache
def _document(group: str) -> dict[str, Any]:
    served = [each for each in RESOURCES if each.group == group]
    paths: dict[str, Any] = {}
    for resource in served:
        base = f"/apis/{group}/{resource.version}" if group else f"/api/{resource.version}"
        within = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
        paths[f"{within}/{resource.plural}"] = {"post": _operation(resource, "post")}
        paths[f"{within}/{resource.plural}/{{name}}"] = {
            verb: _operation(resource, action) for verb, action in (("patch", "patch"), ("put", "put"))
        }
    schemas: dict[str, Any] = {}
    for resource in served:
        _gather(resource.definition, schemas)
    info = {"title": "Kubernetes, rehearsed by dray", "version": f"v{newest_version()}"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _operation(resource: Resource, action: str) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation", *(("force",) if action == "patch" else ()))
    return {
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": resource.group,
            "kind": resource.kind,
            "version": resource.version,
        },
    }


def _gather(name: str, schemas: dict[str, Any]) -> None:
    """A type and all that it is made of."""
    if name in schemas:
        return
    schemas[name] = {}
    schemas[name] = _shown(definitions()[name], schemas)


def _shown(node: Any, schemas: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_shown(each, schemas) for each in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix(_REF)
        _gather(name, schemas)
        return {"allOf": [{"$ref": f"{_SHOWN_REF}{name}"}], "default": {}}
    shown = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            shown[key] = next(each for each in value if each != "null")
        else:
            shown[key] = _shown(value, schemas)
    return shown
