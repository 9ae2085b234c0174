"""What a SavedModel would run: the operations of its graphs, read from its protobuf without TensorFlow.

Source: tensorflow/core/protobuf/{saved_model,meta_graph,saver}.proto and tensorflow/core/framework/*.proto; only the
fields that are needed are described, so weights and attributes stay unread.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from packager.converters.tensorflow.names import operations
from packager.converters.tensorflow.recognition import SAVED_MODEL
from packager.core.errors import ModelInvalid

_SAVER = {
    "SaveV2",
    "RestoreV2",
    "MergeV2Checkpoints",
    "ShardedFilename",
    "SaveSlices",
    "RestoreSlice",
    "Save",
    "Restore",
}
# By message: name, number, type (int: a string or bool; else a message), repeated.
_FIELDS: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "SavedModel": (("meta_graphs", 2, "MetaGraph", True),),
    "MetaGraph": (("graph", 2, "Graph", False), ("saver", 3, "Saver", False)),
    "Saver": (("save", 2, "", False), ("restore", 3, "", False)),
    "Graph": (("node", 1, "Node", True), ("library", 2, "Library", False)),
    "Library": (("function", 1, "Function", True),),
    "Function": (("signature", 1, "Operation", False), ("node", 3, "Node", True)),
    "Operation": (("name", 1, "", False),),
    "Node": (("name", 1, "", False), ("op", 2, "", False), ("input", 3, "", True), ("attr", 5, "Attribute", True)),
    "Attribute": (("key", 1, "", False), ("value", 2, "Value", False)),
    "Value": (("list", 1, "Values", False), ("func", 10, "Reference", False)),
    "Values": (("func", 9, "Reference", True),),
    "Reference": (("name", 1, "", False),),
}


def foreign_operations(folder: Path) -> tuple[str, ...]:
    """Operations that touch files, Python or anything else outside the graph, or that TensorFlow does not know.

    Those that save and restore variables are where every SavedModel has them, in its saver, and only there.

    Raises:
        ModelInvalid: ``saved_model.pb`` is damaged.
    """
    found: dict[str, None] = {}
    for graph in _read(folder).meta_graphs:
        functions = {function.signature.name: function for function in graph.graph.library.function}
        savers = _upstream(graph.graph.node, [graph.saver.save, graph.saver.restore])
        saving = [node for node in graph.graph.node if node.name in savers]
        others = [node for node in graph.graph.node if node.name not in savers]
        of_saver = _called(saving, functions) - _called(others, functions)
        strict = [
            *others,
            *(node for name, function in functions.items() if name not in of_saver for node in function.node),
        ]
        lenient = [*saving, *(node for name in sorted(of_saver) for node in functions[name].node)]
        found |= dict.fromkeys(_unknown(strict, functions, frozenset()))
        found |= dict.fromkeys(_unknown(lenient, functions, _SAVER))
    return tuple(f"the operation {name}" for name in found)


def _unknown(nodes: Iterable[Any], functions: dict[str, Any], more: Iterable[str]) -> list[str]:
    known = operations() | set(more)
    return [node.op for node in nodes if node.op not in known and node.op not in functions]


def _upstream(nodes: Iterable[Any], names: list[str]) -> set[str]:
    """Names of all nodes that these depend on, themselves among them."""
    inputs = {node.name: [_node_name(value) for value in node.input] for node in nodes}
    seen: set[str] = set()
    waiting = [_node_name(name) for name in names if name]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in inputs:
            seen.add(name)
            waiting += inputs[name]
    return seen


def _called(nodes: Iterable[Any], functions: dict[str, Any]) -> set[str]:
    """Names of all functions that the nodes call, and those call."""
    seen: set[str] = set()
    waiting = [name for node in nodes for name in _references(node)]
    while waiting:
        name = waiting.pop()
        if name not in seen and name in functions:
            seen.add(name)
            waiting += [other for node in functions[name].node for other in _references(node)]
    return seen


def _references(node: Any) -> list[str]:
    values = [entry.value for entry in node.attr]
    return [node.op, *(value.func.name for value in values), *(one.name for value in values for one in value.list.func)]


def _node_name(reference: str) -> str:
    return reference.lstrip("^").partition(":")[0]


def _read(folder: Path) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    message = _saved_model_type()()
    try:
        message.ParseFromString((folder / SAVED_MODEL).read_bytes())
    except (DecodeError, OSError) as error:
        raise ModelInvalid(
            f"{folder.name!r} is not a SavedModel that can be read, or is cut off: {error}",
            hint="export the model again with model.export('folder') or tf.saved_model.save",
        ) from error
    if not message.meta_graphs:
        raise ModelInvalid(f"{folder.name!r} holds no graph", hint="export the model again")
    return message


@cache
def _saved_model_type() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

    file = descriptor_pb2.FileDescriptorProto(name="dray/saved_model.proto", package="dray", syntax="proto3")
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1, type=11 if kind else 12)
            if kind:
                added.type_name = f".dray.{kind}"
            else:
                added.type = 9
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("dray.SavedModel"))
