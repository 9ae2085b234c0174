"""Exported programs (``.pt2``): a graph in JSON whose texts are evaluated, imported and called when it is loaded.

``torch.export.load`` gives expressions of sizes to ``sympify``, which is ``eval``; takes the callee of every node from
``torch`` by its dotted name; imports what the context of a container names; and compiles guards. Each of them is read
here, and only arithmetic, operators of PyTorch's and plain containers pass.
Source: torch._export.serde.serialize, torch.utils._pytree and torch.export._unlift of PyTorch 2.13.
"""

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from packager.convert.safety.findings import Findings, Unreadable

_LARGEST_JSON = 512 << 20
_PLACES = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment|extra/[^/]+"
    r"|models/\w+\.json|data/(?:weights|constants)/\w+_config\.json|data/weights/weight_\d+|data/constants/tensor_\d+"
    r"|data/sample_inputs/\w+\.pt"
)
_FUNCTIONS = {
    "Abs", "Add", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt",
    "Ge", "Gt", "Identity", "IntTrueDiv", "Integer", "IsNonOverlappingAndDenseIndicator", "LShift", "Le", "Lt", "Max",
    "Min", "Mod",
    "ModularIndexing", "Mul", "Ne", "Not", "Or", "And", "Piecewise", "Pow", "PowByNatural", "PythonMod", "RShift",
    "Rational", "Equality", "Unequality", "GreaterThan", "LessThan", "StrictGreaterThan", "StrictLessThan",
    "RoundDecimal",
    "RoundToInt", "Symbol", "ToFloat", "TruncToFloat", "TruncToInt", "Where", "ceiling", "floor", "sqrt",
}  # fmt: skip
_ARITHMETIC = (
    ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Name, ast.Load, ast.Constant, ast.Tuple,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.USub, ast.UAdd, ast.Not, ast.Invert,
    ast.And, ast.Or, ast.BitAnd, ast.BitOr, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.LShift, ast.RShift,
    ast.Call, ast.keyword, ast.IfExp,
)  # fmt: skip
_SYMBOL = re.compile(r"[suz]{1,2}[a-z]*\d+|_\w+|True|False|oo|int_oo|[A-Za-z]\w{0,30}")
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?!_?save|from_file|_?load)\w+\.\w+|torch\.ops\.higher_order\.(?:cond|while_loop|scan|map_impl"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|wrap_set_grad_enabled)|torch\.ops\.(?:prims|quantized)\.\w+\.\w+"
    r"|torch\.sym_(?:int|float|max|min|not|ite|sqrt|sum)|torch\._sym_sqrt|math\.(?:ceil|floor|trunc|sqrt)"
    r"|_operator\.(?:add|sub|mul|floordiv|truediv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem|lshift|rshift)"
)
_CONTAINERS = {
    None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", "builtins.slice",
    "torch.Size", "immutable_dict", "immutable_list", "torch.fx.immutable_collections.immutable_dict",
    "torch.fx.immutable_collections.immutable_list",
}  # fmt: skip


def read_program(archive: zipfile.ZipFile, findings: Findings) -> None:
    """Note what loading the program would evaluate, import or call.

    Raises:
        Unreadable: Written by a version whose files are not read, or damaged.
    """
    for entry in archive.infolist():
        name = entry.filename.partition("/")[2]
        if entry.filename == "serialized_exported_program.json":
            raise Unreadable("it was saved by PyTorch 2.7 or older, whose exported programs are not read", 0)
        if not _PLACES.fullmatch(name):
            findings.refuse(f"the entry {name!r} of the program", entry.header_offset)
        elif name.startswith("models/"):
            _read_graph(_json(archive, entry), findings, entry.header_offset)
        elif name.endswith("_config.json"):
            _read_config(archive, entry, findings)
        elif name.startswith("data/sample_inputs/") and entry.file_size and archive.open(entry).read(2) != b"PK":
            findings.refuse(f"a bare pickle in {name!r}", entry.header_offset)


def _read_config(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, findings: Findings) -> None:
    """Tensors that are pickled must be files of torch.save, which were read as such."""
    folder = entry.filename.rpartition("/")[0]
    config = _json(archive, entry).get("config", {})
    for payload in config.values() if isinstance(config, dict) else ():
        path = f"{folder}/{payload.get('path_name')}" if isinstance(payload, dict) else "?"
        if path not in archive.namelist():
            findings.refuse(f"a tensor in {path!r}, which is not there", entry.header_offset)
        elif payload.get("use_pickle") and archive.open(path).read(4) != b"PK\x03\x04":
            findings.refuse(f"a bare pickle in {path!r}", entry.header_offset)


def _read_graph(document: dict[str, Any], findings: Findings, position: int) -> None:
    if document.get("guards_code"):
        for guard in document["guards_code"]:
            if not _is_guard(guard):
                findings.refuse(f"the guard {str(guard)[:60]!r}", position)
    for symbol in document.get("range_constraints", {}):
        _check_expression(symbol, findings, position)
    for key, value in _items(document):
        if key == "expr_str":
            _check_expression(value, findings, position)
        elif key in {"target", "as_operator"}:
            if not (isinstance(value, str) and _TARGET.fullmatch(value)):
                findings.refuse(f"a call of {str(value)[:80]}", position)
        elif key in {"in_spec", "out_spec"}:
            _check_containers(value, findings, position)
        elif key == "metadata" and isinstance(value, dict):
            _check_metadata(value, findings, position)


def _check_expression(text: object, findings: Findings, position: int) -> None:
    if not (isinstance(text, str) and _is_arithmetic(text)):
        findings.refuse(f"the expression {str(text)[:60]!r}", position)


def _is_arithmetic(text: str) -> bool:
    """Numbers, symbols and functions of sizes; neither attributes nor items, by which anything could be reached."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if not isinstance(node, _ARITHMETIC):
            return False
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS):
            return False
        if isinstance(node, ast.Name) and not (node.id in _FUNCTIONS or _SYMBOL.fullmatch(node.id)):
            return False
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not _SYMBOL.fullmatch(node.value):
            return False
    return True


def _is_guard(text: object) -> bool:
    """Arithmetic over sizes of arguments: ``L['x'].size()[0] >= 2``."""
    if not isinstance(text, str):
        return False
    plain = re.sub(r"L(?:\['\w+'\]|\[\d+\])+\.(?:size\(\)\[\d+\]|stride\(\)\[\d+\]|storage_offset\(\))", "s0", text)
    return _is_arithmetic(plain)


def _check_containers(text: object, findings: Findings, position: int) -> None:
    """The structure of arguments and answers; the context of some containers is imported or evaluated."""
    try:
        document = json.loads(text) if isinstance(text, str) and text else []
    except (ValueError, RecursionError):
        findings.refuse("a structure that is no JSON", position)
        return
    for key, value in _items(document):
        if key == "type" and value not in _CONTAINERS:
            findings.refuse(f"the container {value!r}", position)
        elif key in {"__enum__", "fqn", "default_factory_module"} or (
            key == "context" and isinstance(value, str) and ("__enum__" in value or "default_factory" in value)
        ):
            findings.refuse("a structure that imports by name", position)


def _check_metadata(metadata: dict[str, Any], findings: Findings, position: int) -> None:
    """Names in it are looked up in torch, and not called; what is no text has no place there."""
    if any(not isinstance(value, str) for value in metadata.values()):
        findings.refuse("metadata that are no texts", position)


def _items(document: object) -> Iterator[tuple[str, Any]]:
    """Every key of every object, with its value."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _json(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> dict[str, Any]:
    if entry.file_size > _LARGEST_JSON:
        raise Unreadable(f"{entry.filename!r} is larger than {_LARGEST_JSON >> 20} MiB", 0, unsafe=True)
    try:
        document = json.loads(archive.read(entry))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{entry.filename!r} is no JSON: {error}", 0) from error
    if not isinstance(document, dict):
        raise Unreadable(f"{entry.filename!r} holds no object", 0)
    return document
