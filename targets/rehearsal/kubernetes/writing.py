"""Requests that change objects: create, replace, patch, apply, delete; what they share in one order."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from targets.rehearsal.kubernetes import errors, faults, resources
from targets.rehearsal.kubernetes.admission import admit
from targets.rehearsal.kubernetes.calls import Answer, Call
from targets.rehearsal.kubernetes.cluster import Cluster, started
from targets.rehearsal.kubernetes.defaults import defaulted
from targets.rehearsal.kubernetes.deleting import Deletions, Propagation
from targets.rehearsal.kubernetes.ownership import Writer, applied, updated
from targets.rehearsal.kubernetes.patches import json_patched, merge_patched, strategic_patched
from targets.rehearsal.kubernetes.reading import configuration, parsed, read, strictly
from targets.rehearsal.kubernetes.resources import Resource
from targets.rehearsal.kubernetes.selectors import Selector, field_matcher
from targets.rehearsal.kubernetes.shapes import shape_of
from targets.rehearsal.kubernetes.staging import take_over
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.kubernetes.validation import judge

_PROPAGATIONS: Final[Mapping[str, Propagation]] = {"Foreground": "Foreground", "Orphan": "Orphan"}
_BODIES: Final = ("", "application/json", "application/yaml", "application/x-yaml")
_PATCHES: Final = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)  # fmt: skip
# Only the server sets them; a request's are not looked at.
_SERVERS: Final = ("creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")


def create(cluster: Cluster, call: Call) -> Answer:
    """POST of a new object."""
    found, warnings = _read(call)
    metadata = found.setdefault("metadata", {})
    _check_namespace(call, metadata)
    for name in (*_SERVERS, "managedFields", "resourceVersion", "uid"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = f"{metadata['generateName']}{cluster.suffix()}"
    name = metadata.get("name", "")
    if cluster.store.get(call.resource, call.namespace, name) is not None:
        raise errors.already_exists(call.resource, name)
    new = _born(call.resource, found)
    shape = shape_of(call.resource.definition)
    new = updated(None, defaulted(call.resource, new), shape, Writer(call.manager))
    stored, said = _commit(cluster, call, None, new)
    return Answer(201, stored, _warned([*warnings, *said]))


def replace(cluster: Cluster, call: Call) -> Answer:
    """PUT of an object that is there."""
    found, warnings = _read(call)
    live = _live(cluster, call)
    stored, said = _update(cluster, call, live, found)
    return Answer(200, stored, _warned([*warnings, *said]))


def patch(cluster: Cluster, call: Call) -> Answer:
    """PATCH, by the kind that its content type says."""
    call.check_options()
    if call.applies:
        return apply(cluster, call)
    live = _live(cluster, call)
    shape = shape_of(call.resource.definition)
    body = _patch_body(call)
    base = {**live, "metadata": {name: value for name, value in live["metadata"].items() if name != "managedFields"}}
    match call.content_type:
        case "application/json-patch+json":
            new = json_patched(base, body)
        case "application/merge-patch+json":
            new = merge_patched(base, body)
        case "application/strategic-merge-patch+json":
            new = strategic_patched(base, body, shape)
        case other:
            raise _unsupported(other, ", ".join(_PATCHES))
    found, unknown = read(new, call.resource)
    if unknown and call.validation == "Strict":
        raise strictly(unknown, call.resource)
    stored, said = _update(cluster, call, live, found)
    return Answer(200, stored, _warned([*_unknown_words(unknown, call), *said]))


def apply(cluster: Cluster, call: Call) -> Answer:
    """Server-side apply: the object is made where it is not there."""
    body = parsed(call.content, as_yaml=True)
    config = configuration(body, call.resource, call.namespace, call.name)
    metadata = _addressed(call, config)
    if metadata.get("managedFields"):
        raise errors.bad_request("metadata.managedFields must be nil")
    live = cluster.store.get(call.resource, call.namespace, call.name)
    if live is None and call.subresource:
        raise errors.not_found(call.resource, call.name)
    if live is not None:
        _check_version(call, live, metadata)
        live = take_over(cluster, call, live, config)
    elif metadata.get("uid") or metadata.get("resourceVersion"):
        raise errors.stale(call.resource, call.name)
    config = _reset(call, config)
    shape = shape_of(call.resource.definition)
    writer = Writer(call.manager, call.subresource)
    new = applied(live, config, shape, writer, force=call.flag("force"))
    if live is None:
        new = _born(call.resource, new)
        stored, said = _commit(cluster, call, None, defaulted(call.resource, new))
        return Answer(201, stored, _warned(said))
    new["metadata"].update({name: live["metadata"][name] for name in (*_SERVERS, "uid") if name in live["metadata"]})
    stored, said = _commit(cluster, call, live, defaulted(call.resource, new))
    return Answer(200, stored, _warned(said))


def delete(cluster: Cluster, deletions: Deletions, call: Call) -> Answer:
    """DELETE of one object."""
    live = _live(cluster, call)
    options = _options(call)
    wanted = options.get("preconditions") or {}
    metadata = live["metadata"]
    if wanted.get("uid", metadata["uid"]) != metadata["uid"]:
        raise errors.other_uid(call.resource, call.name, wanted["uid"], metadata["uid"])
    if wanted.get("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
        raise errors.stale(call.resource, call.name)
    left = live if call.dry(options) else _delete(deletions, call, live, options)
    if left is not None:
        return Answer(200, left)
    about = {"name": call.name, "kind": call.resource.plural, "uid": metadata["uid"]}
    if call.resource.group:
        about["group"] = call.resource.group
    return Answer(200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": about})


def delete_all(cluster: Cluster, deletions: Deletions, call: Call) -> Answer:
    """DELETE of those that a selector names."""
    options = _options(call)
    selector, fits = (
        Selector.parse(call.query.get("labelSelector", "")),
        field_matcher(call.query.get("fieldSelector", "")),
    )
    chosen = [
        found
        for found in cluster.store.select(call.resource, call.namespace, selector.equal)
        if selector.matches(found["metadata"].get("labels") or {}) and fits(found)
    ]
    if not call.dry(options):
        for found in chosen:
            _delete(deletions, call, found, options)
    metadata = {"resourceVersion": str(cluster.store.version)}
    kind = f"{call.resource.kind}List"
    return Answer(200, {"kind": kind, "apiVersion": call.resource.api_version, "metadata": metadata, "items": chosen})


def _delete(deletions: Deletions, call: Call, found: Object, options: Mapping[str, Any]) -> Object | None:
    given = options.get("propagationPolicy") or call.query.get("propagationPolicy") or "Background"
    if options.get("orphanDependents"):
        given = "Orphan"
    propagation = _PROPAGATIONS.get(given, "Background")
    grace = options.get("gracePeriodSeconds", call.number("gracePeriodSeconds"))
    return deletions.delete(call.resource, found, propagation, grace)


def _update(cluster: Cluster, call: Call, live: Object, found: dict[str, Any]) -> tuple[Object, list[str]]:
    """What replacing and patching share."""
    metadata = _addressed(call, found)
    _check_version(call, live, metadata)
    for name in (*_SERVERS, "uid", "resourceVersion"):
        metadata.pop(name, None)
        if name in live["metadata"]:
            metadata[name] = live["metadata"][name]
    new = _placed(call, live, found)
    shape = shape_of(call.resource.definition)
    new = updated(live, defaulted(call.resource, new), shape, Writer(call.manager, call.subresource))
    return _commit(cluster, call, live, new)


def _placed(call: Call, live: Object, found: dict[str, Any]) -> dict[str, Any]:
    """What of a write counts: the status of it alone, or all but that."""
    if "status" not in call.resource.subresources:
        return found
    if call.subresource == "status":
        return {**live, "metadata": {**live["metadata"]}, "status": found.get("status", {})}
    rest = {name: value for name, value in found.items() if name != "status"}
    return {**rest, **({"status": live["status"]} if "status" in live else {})}


def _reset(call: Call, config: dict[str, Any]) -> dict[str, Any]:
    """Of an applied configuration, what its path lets through."""
    if "status" not in call.resource.subresources:
        return config
    if call.subresource == "status":
        return {name: value for name, value in config.items() if name != "spec"}
    return {name: value for name, value in config.items() if name != "status"}


def _commit(cluster: Cluster, call: Call, live: Object | None, new: dict[str, Any]) -> tuple[Object, list[str]]:
    """Judge and store; what is stored, and warnings."""
    judge(call.resource, new, live)
    faults.at_a_write(cluster.strikes, call, new)
    said = admit(cluster, call, live, new)
    if live is not None:
        if _same(live, new):
            return live, said
        if call.subresource != "status" and new.get("spec") != live.get("spec"):
            new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
    if call.dry():
        return new, said
    return cluster.store.put(call.resource, new), said


def _same(live: Object, new: Object) -> bool:
    def stripped(found: Object) -> dict[str, Any]:
        metadata = {name: value for name, value in found["metadata"].items() if name != "resourceVersion"}
        owners = [{**each, "time": ""} for each in metadata.get("managedFields") or ()]
        return {**found, "metadata": {**metadata, "managedFields": owners}}

    return stripped(live) == stripped(new)


def _born(resource: Resource, found: dict[str, Any]) -> dict[str, Any]:
    if "status" in resource.subresources and resource != resources.NAMESPACES:
        found.pop("status", None)
    return started(resource, found)


def _read(call: Call) -> tuple[dict[str, Any], list[str]]:
    call.check_options()
    if call.content_type not in _BODIES:
        raise _unsupported(call.content_type, "application/json, application/yaml")
    as_yaml = call.content_type in ("application/yaml", "application/x-yaml")
    found, unknown = read(parsed(call.content, as_yaml=as_yaml), call.resource)
    if unknown and call.validation == "Strict":
        raise strictly(unknown, call.resource)
    return found, _unknown_words(unknown, call)


def _unknown_words(unknown: Sequence[str], call: Call) -> list[str]:
    return [f'unknown field "{path}"' for path in unknown] if call.validation != "Ignore" else []


def _warned(words: Sequence[str]) -> dict[str, str]:
    shown = ", ".join("299 - " + json.dumps(each) for each in words)
    return {"Warning": shown} if words else {}


def _live(cluster: Cluster, call: Call) -> Object:
    live = cluster.store.get(call.resource, call.namespace, call.name)
    if live is None:
        raise errors.not_found(call.resource, call.name)
    return live


def _check_namespace(call: Call, metadata: dict[str, Any]) -> None:
    if not call.resource.namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", call.namespace) != call.namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _addressed(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    """The metadata of an object that the path names."""
    metadata: dict[str, Any] = found.setdefault("metadata", {})
    _check_namespace(call, metadata)
    if metadata.setdefault("name", call.name) != call.name:
        raise errors.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({call.name})"
        )
    return metadata


def _check_version(call: Call, live: Object, metadata: Mapping[str, Any]) -> None:
    given = metadata.get("resourceVersion")
    if given and given != live["metadata"]["resourceVersion"]:
        raise errors.stale(call.resource, call.name)
    if metadata.get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
        raise errors.other_uid(call.resource, call.name, metadata["uid"], live["metadata"]["uid"])


def _patch_body(call: Call) -> Any:
    try:
        return json.loads(call.content)
    except ValueError as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error


def _unsupported(content_type: str, accepted: str) -> errors.ApiError:
    words = (
        f"the body of the request was in an unknown format ({content_type}) - accepted media types include: {accepted}"
    )
    if "protobuf" in content_type:
        words += " (kubectl sends JSON with `kubectl create -f` and `kubectl apply -f`)"
    return errors.ApiError(415, "UnsupportedMediaType", words)


def _options(call: Call) -> Mapping[str, Any]:
    return parsed(call.content) if call.content.strip() else {}
