"""The subresource ``scale``: the number of replicas alone."""

import json
from typing import Any

from targets.rehearsal.kubernetes import errors
from targets.rehearsal.kubernetes.calls import Answer, Call
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.ownership import Writer, updated
from targets.rehearsal.kubernetes.patches import json_patched, merge_patched
from targets.rehearsal.kubernetes.reading import parsed
from targets.rehearsal.kubernetes.shapes import shape_of
from targets.rehearsal.kubernetes.store import Object


def get(cluster: Cluster, call: Call) -> Answer:
    """How many there shall be, and are."""
    return Answer(200, _scale(_found(cluster, call)))


def change(cluster: Cluster, call: Call) -> Answer:
    """Want another number."""
    live = _found(cluster, call)
    scale = _scale(live)
    if call.method == "PUT":
        wanted: Any = parsed(call.content)
    elif call.method == "PATCH":
        body = json.loads(call.content or b"{}")
        wanted = json_patched(scale, body) if isinstance(body, list) else merge_patched(scale, body)
    else:
        raise errors.wrong_method()
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        cause = errors.Cause("FieldValueInvalid", "Invalid value: must be greater than or equal to 0", "spec.replicas")
        raise errors.invalid(call.resource, call.name, [cause])
    if replicas == live["spec"]["replicas"]:
        return Answer(200, scale)
    new = {**live, "spec": {**live["spec"], "replicas": replicas}}
    new = updated(live, new, shape_of(call.resource.definition), Writer(call.manager, "scale"))
    new["metadata"]["generation"] = live["metadata"].get("generation", 0) + 1
    if not call.dry():
        new = dict(cluster.store.put(call.resource, new))
    return Answer(200, _scale(new))


def _found(cluster: Cluster, call: Call) -> Object:
    live = cluster.store.get(call.resource, call.namespace, call.name)
    if live is None:
        raise errors.not_found(call.resource, call.name)
    return live


def _scale(found: Object) -> dict[str, Any]:
    metadata = found["metadata"]
    labels = found["spec"]["selector"].get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        },
        "spec": {"replicas": found["spec"]["replicas"]},
        "status": {
            "replicas": found.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
        },
    }
