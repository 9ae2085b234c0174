"""Attributes of MXNet's operators, read by the types and defaults that MXNet 1.9.1 declares for them."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from packager.converters.mxnet.symbol import SymbolNode
from packager.core.errors import ConverterMissing, ModelInvalid

Attribute = bool | int | float | str | tuple[int | float | None, ...] | None
_BOOLS = {"true": True, "1": True, "false": False, "0": False}
_LISTED = re.compile(r"[(\[](.*)[)\]]", re.DOTALL)
# What users and trainers hang on nodes, without a meaning for answers. Source: nnvm's kHiddenKeys and mx.AttrScope.
_HIDDEN = ("ctx_group", "lr_mult", "wd_mult", "force_mirroring", "mirror_stage", "profiler_scope")
# Where and how fast something is computed, not what; in files of some versions only.
_HARMLESS = ("workspace", "cudnn_tune", "cudnn_off", "ctx")


@dataclass(frozen=True, slots=True)
class Signature:
    """An operator as MXNet declares it.

    Attributes:
        name: The first of its names.
        inputs: Names in order; the last stands for any number where ``variadic``.
        attributes: By name: type, whether None is a value, default as text (None: required), and choices.
    """

    name: str
    inputs: tuple[str, ...]
    variadic: bool
    attributes: Mapping[str, tuple[str, bool, str | None, tuple[str, ...]]]


@cache
def signatures() -> Mapping[str, Signature]:
    """All recorded signatures by every name that an operator has."""
    text = resources.files(__package__).joinpath("signatures.json").read_text(encoding="utf-8")
    found = {}
    for name, entry in json.loads(text).items():
        attributes = {
            key: (kind, optional, default, tuple(choices))
            for key, (kind, optional, default, choices) in entry["attributes"].items()
        }
        signature = Signature(name, tuple(entry["inputs"]), entry["variadic"], attributes)
        found.update(dict.fromkeys((name, *entry["aliases"]), signature))
    return found


def read_attributes(node: SymbolNode, signature: Signature) -> dict[str, Attribute]:
    """All attributes of a node, defaults among them.

    Raises:
        ConverterMissing: An attribute that the operator does not have, or a value that it does not take.
        ModelInvalid: A required attribute is absent.
    """
    values: dict[str, Attribute] = {}
    for name in node.attributes:
        if name not in signature.attributes and not _ignored(name):
            raise ConverterMissing(
                f"the {node.op} node {node.name!r} has an attribute {name!r}, which MXNet 1.9 does not know",
                hint="its meaning is unknown to dray, so it does not guess what the node computes",
            )
    for name, (kind, optional, default, choices) in signature.attributes.items():
        text = node.attributes.get(name, default)
        if text is None:
            raise ModelInvalid(
                f"the {node.op} node {node.name!r} lacks the attribute {name!r}", hint="export the model again"
            )
        try:
            values[name] = _parsed(text.strip(), kind, choices, optional=optional)
        except (ValueError, OverflowError) as error:
            raise ConverterMissing(
                f"the {node.op} node {node.name!r} has the unknown value {text[:60]!r} for {name!r}",
                hint=f"MXNet takes {' | '.join(choices) or kind} there",
            ) from error
    return values


def _ignored(name: str) -> bool:
    return (name.startswith("__") and name.endswith("__")) or name in _HARMLESS or name.endswith(_HIDDEN)


def _parsed(text: str, kind: str, choices: tuple[str, ...], *, optional: bool) -> Attribute:
    if optional and text == "None":
        return None
    match kind:
        case "bool":
            return _bool(text)
        case "int":
            return _int(text)
        case "float":
            return _float(text)
        case "shape":
            return tuple(None if item == "None" else _int(item) for item in _items(text))
        case "floats":
            return tuple(_float(item) for item in _items(text))
        case "enum":
            if text not in choices:
                raise ValueError(text)
    return text


def _bool(text: str) -> bool:
    if text.lower() not in _BOOLS:
        raise ValueError(text)
    return _BOOLS[text.lower()]


def _int(text: str) -> int:
    if len(text) > 20:
        raise ValueError("too long")
    value = int(text.strip().removesuffix("L"))  # Python 2 wrote (3L, 3L)
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError("too large")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isnan(value):
        raise ValueError("not a number")
    return value


def _items(text: str) -> list[str]:
    listed = _LISTED.fullmatch(text)
    items = [item.strip() for item in (listed[1] if listed else text).split(",")]
    if len(items) > 64:
        raise ValueError("too many")
    return [item for item in items if item]


def attribute_text(value: Any) -> str:
    """A value as messages show it."""
    return repr(value)
