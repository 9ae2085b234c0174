"""Types that are not Kubernetes' own: the Gateway API's, of the fields that gateways here understand, and open ones.

Source of the Gateway API's names, list types and limits: its own reference, version 1 of the standard channel.
"""

from collections.abc import Mapping
from typing import Any, Final

_META: Final = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
_CONDITION: Final = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.Condition"}
_SELECTOR: Final = {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"}
_TEXT: Final = {"type": "string"}
_INT: Final = {"type": "integer", "format": "int32"}
_TEXTS: Final = {"type": "object", "additionalProperties": _TEXT}
_OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

Schema = dict[str, Any]


def _struct(required: tuple[str, ...] = (), **fields: Any) -> Schema:
    return {"type": "object", "properties": fields, **({"required": list(required)} if required else {})}


def _atomic(items: Any) -> Schema:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "atomic"}


def _set(items: Any) -> Schema:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "set"}


def _keyed(items: Any, *keys: str) -> Schema:
    return {"type": "array", "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


_CONDITIONS: Final = _keyed(_CONDITION, "type")
_PARENT: Final = _struct(("name",), group=_TEXT, kind=_TEXT, name=_TEXT, namespace=_TEXT, sectionName=_TEXT, port=_INT)
_VALUE: Final = _struct(("name", "value"), name=_TEXT, value=_TEXT)
_MATCHED: Final = _struct(("name", "value"), name=_TEXT, value=_TEXT, type=_TEXT)
_REWRITE: Final = _struct(
    hostname=_TEXT, path=_struct(("type",), type=_TEXT, replaceFullPath=_TEXT, replacePrefixMatch=_TEXT)
)
_HEADERS: Final = _struct(add=_keyed(_VALUE, "name"), set=_keyed(_VALUE, "name"), remove=_set(_TEXT))
_FILTER: Final = _struct(
    ("type",),
    type=_TEXT,
    requestHeaderModifier=_HEADERS,
    responseHeaderModifier=_HEADERS,
    requestRedirect=_OPEN,
    requestMirror=_OPEN,
    urlRewrite=_REWRITE,
    extensionRef=_OPEN,
    cors=_OPEN,
)
_BACKEND: Final = _struct(
    ("name",), group=_TEXT, kind=_TEXT, name=_TEXT, namespace=_TEXT, port=_INT, weight=_INT, filters=_atomic(_FILTER)
)
_MATCH: Final = _struct(
    path=_struct(type=_TEXT, value=_TEXT),
    headers=_keyed(_MATCHED, "name"),
    queryParams=_keyed(_MATCHED, "name"),
    method=_TEXT,
)
_RULE: Final = _struct(
    name=_TEXT,
    matches=_atomic(_MATCH),
    filters=_atomic(_FILTER),
    backendRefs=_atomic(_BACKEND),
    timeouts=_struct(request=_TEXT, backendRequest=_TEXT),
)
_REFERENCE: Final = _struct(("name",), group=_TEXT, kind=_TEXT, name=_TEXT, namespace=_TEXT)
_LOCAL: Final = _struct(("group", "kind", "name"), group=_TEXT, kind=_TEXT, name=_TEXT)
_TLS: Final = _struct(mode=_TEXT, certificateRefs=_atomic(_REFERENCE), options=_TEXTS)
_LISTENER: Final = _struct(
    ("name", "port", "protocol"),
    name=_TEXT,
    hostname=_TEXT,
    port=_INT,
    protocol=_TEXT,
    tls=_TLS,
    allowedRoutes=_struct(
        namespaces={"type": "object", "properties": {"from": _TEXT, "selector": _SELECTOR}},
        kinds=_atomic(_struct(("kind",), group=_TEXT, kind=_TEXT)),
    ),
)
_ADDRESS: Final = _struct(type=_TEXT, value=_TEXT)
_LISTENER_STATUS: Final = _struct(
    ("name",),
    name=_TEXT,
    attachedRoutes=_INT,
    supportedKinds=_atomic(_struct(group=_TEXT, kind=_TEXT)),
    conditions=_CONDITIONS,
)
_PARENT_STATUS: Final = _struct(
    ("parentRef", "controllerName"), parentRef=_PARENT, controllerName=_TEXT, conditions=_CONDITIONS
)


def _object(group: str, version: str, kind: str, spec: Any, status: Any) -> Schema:
    known = [{"group": group, "version": version, "kind": kind}]
    body = _struct(("spec",), apiVersion=_TEXT, kind=_TEXT, metadata=_META, spec=spec, status=status)
    return {**body, "x-kubernetes-group-version-kind": known}


_GATEWAY: Final = "gateway.networking.k8s.io"
CUSTOM: Final[Mapping[str, Schema]] = {
    f"{_GATEWAY}.v1.GatewayClass": _object(
        _GATEWAY,
        "v1",
        "GatewayClass",
        _struct(("controllerName",), controllerName=_TEXT, description=_TEXT, parametersRef=_REFERENCE),
        _struct(conditions=_CONDITIONS),
    ),
    f"{_GATEWAY}.v1.Gateway": _object(
        _GATEWAY,
        "v1",
        "Gateway",
        _struct(
            ("gatewayClassName", "listeners"),
            gatewayClassName=_TEXT,
            listeners=_keyed(_LISTENER, "name"),
            addresses=_atomic(_ADDRESS),
            infrastructure=_struct(labels=_TEXTS, annotations=_TEXTS, parametersRef=_LOCAL),
            allowedListeners=_OPEN,
            tls=_OPEN,
        ),
        _struct(
            addresses=_atomic(_ADDRESS),
            attachedListenerSets=_INT,
            conditions=_CONDITIONS,
            listeners=_keyed(_LISTENER_STATUS, "name"),
        ),
    ),
    f"{_GATEWAY}.v1.HTTPRoute": _object(
        _GATEWAY,
        "v1",
        "HTTPRoute",
        _struct(parentRefs=_atomic(_PARENT), hostnames=_atomic(_TEXT), rules=_atomic(_RULE)),
        _struct(parents=_atomic(_PARENT_STATUS)),
    ),
    "serving.kserve.io.v1beta1.InferenceService": _object(
        "serving.kserve.io", "v1beta1", "InferenceService", _OPEN, _OPEN
    ),
    "keda.sh.v1alpha1.ScaledObject": _object("keda.sh", "v1alpha1", "ScaledObject", _OPEN, _OPEN),
}
