"""What the values of an object may be and how two of them merge, from the schemas that kubernetes-validate bundles."""

import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Final, Literal

from targets.rehearsal.kubernetes.custom_schemas import CUSTOM

Form = Literal["struct", "map", "list", "scalar", "any"]
_REF: Final = "#/$defs/"
_BUNDLE: Final = "kubernetes-json-schema"
_VERSION: Final = re.compile(r"v(\d+)\.(\d+)\.(\d+)-local")
# The bundled schemas leave out defaults, which keys of lists need.
_KEY_DEFAULTS: Final = {"protocol": "TCP"}


class Shape:
    """One type; what it is made of is looked up when it is asked for, as types may hold themselves."""

    def __init__(self, schema: Mapping[str, Any], name: str = "") -> None:
        """Of a schema that is no reference.

        Args:
            schema: In JSON Schema, with Kubernetes' extensions.
            name: Of its definition; empty for one without.
        """
        self.schema = schema
        self.name = name
        types = schema.get("type", ())
        self.types = frozenset((types,) if isinstance(types, str) else types) - {"null"}
        self.required: tuple[str, ...] = tuple(schema.get("required", ()))
        self.format: str = schema.get("format", "")
        self.list_keys: tuple[str, ...] = tuple(schema.get("x-kubernetes-list-map-keys", ()))
        self.merge_key: str = schema.get("x-kubernetes-patch-merge-key", "")
        self.strategies: tuple[str, ...] = tuple(schema.get("x-kubernetes-patch-strategy", "").split(","))

    @cached_property
    def form(self) -> Form:
        """In the large."""
        if "oneOf" in self.schema or "x-kubernetes-int-or-string" in self.schema:
            return "scalar"
        if "properties" in self.schema:
            return "struct"
        if "additionalProperties" in self.schema:
            return "map"
        if "array" in self.types:
            return "list"
        return "any" if "object" in self.types or not self.types else "scalar"

    @cached_property
    def scalars(self) -> frozenset[str]:
        """JSON types that a scalar may have."""
        if "x-kubernetes-int-or-string" in self.schema:
            return frozenset({"string", "integer"})
        choices = self.schema.get("oneOf")
        if not choices:
            return self.types
        return frozenset(one for each in choices for one in Shape(each).types)

    @cached_property
    def fields(self) -> Mapping[str, "Shape"]:
        """Of a struct."""
        return {name: _resolved(each) for name, each in self.schema.get("properties", {}).items()}

    @cached_property
    def element(self) -> "Shape":
        """Of a list or map."""
        return _resolved(self.schema.get("items") or self.schema.get("additionalProperties") or {})

    @cached_property
    def listed(self) -> Literal["atomic", "set", "map"]:
        """How lists of it merge."""
        kind: Literal["atomic", "set", "map"] = self.schema.get("x-kubernetes-list-type", "atomic")
        return kind

    @cached_property
    def atomic(self) -> bool:
        """Whether it changes as a whole."""
        if self.form == "list":
            return self.listed == "atomic"
        return self.form == "scalar" or self.schema.get("x-kubernetes-map-type") == "atomic"

    @cached_property
    def open(self) -> bool:
        """Whether it may have fields that the schema does not name."""
        return self.form in ("map", "any") or "x-kubernetes-preserve-unknown-fields" in self.schema

    def child(self, name: str) -> "Shape | None":
        """Of a field or entry; None for one that the schema does not know."""
        found = self.fields.get(name)
        if found is not None:
            return found
        if self.form == "map":
            return self.element
        return ANY if self.open else None

    def key_of(self, item: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What tells an item of this list from the others; None where a part of it is missing."""
        parts = tuple(item.get(name, _KEY_DEFAULTS.get(name)) for name in self.list_keys)
        return None if any(part is None for part in parts) else parts


ANY: Final = Shape({})


def shape_of(definition: str) -> Shape:
    """Raises KeyError: there is no such type."""
    return _named(definition)


def definitions() -> Mapping[str, Any]:
    """All types by name, as JSON Schema."""
    return _definitions()


@cache
def newest_version() -> str:
    """Of Kubernetes, that there are schemas of."""
    return "{}.{}.{}".format(*_newest())


@cache
def _newest() -> tuple[int, int, int]:
    names = (each.name for each in files("kubernetes_validate").joinpath(_BUNDLE).iterdir())
    found = [match.groups() for match in map(_VERSION.fullmatch, names) if match]
    major, minor, patch = max(tuple(int(part) for part in each) for each in found)
    return major, minor, patch


@cache
def _definitions() -> Mapping[str, Any]:
    folder = "v{}.{}.{}-local".format(*_newest())
    path = files("kubernetes_validate").joinpath(_BUNDLE, folder, "_definitions.json")
    own: dict[str, Any] = json.loads(path.read_bytes())["$defs"]
    return {**own, **CUSTOM}


@cache
def _named(definition: str) -> Shape:
    return Shape(_definitions()[definition], definition)


def _resolved(schema: Mapping[str, Any]) -> Shape:
    reference = schema.get("$ref")
    return _named(reference.removeprefix(_REF)) if reference else Shape(schema)
