"""Which values an input is looked up in, as the frozen graph says: embeddings, vocabularies, one-hot codes."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from packager.converters.tensorflow.freezing import Frozen
from packager.converters.tensorflow.source import Values

# What hands values on as they are.
_THROUGH = {
    "Cast", "EnsureShape", "ExpandDims", "Identity", "PartitionedCall", "Reshape", "Squeeze", "StopGradient",
    "Transpose",
}  # fmt: skip
_CHOICE = "SelectV2"  # between an index and the same counted from the end
_MOST_STEPS = 200


def looked_up_values(frozen: Frozen) -> dict[str, Values]:
    """By the name of an input's node; absent where nothing is known."""
    nodes = {node.name: node for node in frozen.graph.node}
    readers: dict[str, list[tuple[Any, int]]] = defaultdict(list)
    for node in frozen.graph.node:
        for place, reference in enumerate(node.input):
            readers[reference.lstrip("^").partition(":")[0]].append((node, place))
    found = {}
    for node in frozen.graph.node:
        if node.op == "Placeholder":
            known = list(_reached(node.name, readers, nodes, frozen))
            if known:
                found[node.name] = _joined(known)
    return found


def _reached(start: str, readers: Any, nodes: Any, frozen: Frozen) -> Iterator[Values]:
    waiting, seen = [start], {start}
    while waiting and len(seen) < _MOST_STEPS:
        for reader, place in readers[waiting.pop()]:
            if (reader.op in _THROUGH and place == 0) or (reader.op == _CHOICE and place):
                waiting += [] if reader.name in seen else [reader.name]
                seen.add(reader.name)
            elif (values := _of(reader, place, nodes, frozen)) is not None:
                yield values


def _of(reader: Any, place: int, nodes: Any, frozen: Frozen) -> Values | None:
    """What one operation says of its input at a place."""
    import tensorflow as tf

    def constant(index: int) -> Any:
        node = nodes.get(reader.input[index].partition(":")[0])
        while node is not None and node.op == "Identity":
            node = nodes.get(node.input[0].partition(":")[0])
        return tf.make_ndarray(node.attr["value"].tensor) if node is not None and node.op == "Const" else None

    if reader.op in {"GatherV2", "Gather", "ResourceGather"} and place == 1:
        table = constant(0)
        return Values(limit=len(table)) if table is not None and table.ndim else None
    if reader.op == "OneHot" and place == 0:
        depth = constant(1)
        return Values(limit=int(depth)) if depth is not None else None
    if reader.op == "DenseBincount" and place == 0:
        size = constant(1)
        return Values(limit=int(size)) if size is not None else None
    if reader.op == "LookupTableFindV2" and place == 1:
        return _keys_of(reader, nodes, frozen)
    return None


def _keys_of(reader: Any, nodes: Any, frozen: Frozen) -> Values | None:
    table = nodes.get(reader.input[0].partition(":")[0])
    while table is not None and table.op == "Identity":
        table = nodes.get(table.input[0].partition(":")[0])
    pair = frozen.tables.get(table.attr["shared_name"].s) if table is not None else None
    if pair is None:
        return None
    keys = [key.decode("utf-8", "replace") if isinstance(key, bytes) else int(key) for key in pair[0].tolist()]
    return Values(known=tuple(sorted(keys)))


def _joined(found: list[Values]) -> Values:
    """The narrowest: every lookup has to have an answer."""
    limits = [values.limit for values in found if values.limit is not None]
    known = tuple(dict.fromkeys(key for values in found for key in values.known))
    return Values(limit=min(limits) if limits else None, known=known)
