"""skops files: a zip of arrays and a schema in JSON that says which classes and functions will be looked up.

Source: skops.io of skops 0.16, whose loaders stand in ``NODE_TYPE_MAPPING``.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

from packager.convert.safety.findings import Findings, Unreadable
from packager.convert.safety.values import Pair

_SCHEMA = "schema.json"
_LARGEST_SCHEMA = 256 << 20
_FREE_BYTES = 256 << 20
_MOST_TIMES = 200
# What makes nothing but data, or an object of a class whose name is checked.
_HARMLESS = {
    "BytearrayNode", "BytesNode", "CachedNode", "ConstructorFromReduceNode", "DTypeNode", "DefaultDictNode", "DictNode",
    "FunctionNode", "JsonNode", "ListNode", "LossNode", "MaskedArrayNode", "NdArrayNode", "ObjectNode",
    "QuantileForestNode", "RandomGeneratorNode", "RandomStateNode", "SetNode", "SliceNode", "SparseMatrixNode",
    "TreeNode", "TupleNode", "TypeNode",
}  # fmt: skip
# Types that data are made of; the loader makes them itself.
_PLAIN = {
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "int",
    "list",
    "set",
    "slice",
    "str",
    "tuple",
    "type",
}


def is_skops(path: Path) -> bool:
    """Whether a file is a zip with a schema in it, whatever its name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _SCHEMA in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def read_skops(path: Path, findings: Findings) -> None:
    """Note every class and function that the file names.

    Raises:
        Unreadable: Not such a file, damaged, or larger inside than any model is.
    """
    for entry in _nodes(_schema(path)):
        loader, name = entry["__loader__"], f"{entry.get('__module__')}.{entry.get('__class__')}"
        if loader not in _HARMLESS:
            findings.refuse(f"{loader} {name}", 0)
        pair = Pair(str(entry.get("__module__")), str(entry.get("__class__")))
        plain = pair.module == "builtins" and pair.name in _PLAIN
        if not plain and not findings.see(pair, 0) and loader not in {"FunctionNode", "TypeNode"}:
            findings.call(pair, 0)


def _schema(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, archive)
            return json.loads(archive.read(_SCHEMA))
    except (zipfile.BadZipFile, OSError, KeyError, RecursionError, ValueError, NotImplementedError) as error:
        raise Unreadable(f"it is no skops file that can be read: {type(error).__name__}: {error}", 0) from error


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    limit = max(_FREE_BYTES, path.stat().st_size * _MOST_TIMES)
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise Unreadable("it holds two entries of one name", 0, unsafe=True)
    if sum(entry.file_size for entry in entries) > limit or archive.getinfo(_SCHEMA).file_size > _LARGEST_SCHEMA:
        raise Unreadable(f"it grows to more than {limit >> 20} MiB", 0, unsafe=True)


def _nodes(schema: Any) -> list[dict[str, Any]]:
    """Everything in the schema that has a loader, from the outside in."""
    found, waiting = [], [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                found.append(value)
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    if not found:
        raise Unreadable("its schema names no object", 0)
    return found
