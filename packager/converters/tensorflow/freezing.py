"""A traced function with its variables as constants and its tables read out, optimised by TensorFlow's own passes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packager.core.errors import ConversionError, ConverterMissing

# Between requests, a served model has no memory.
_STATE = (
    "Assign", "ResourceScatter", "ResourceApply", "ResourceStridedSliceAssign", "LookupTableInsert",
    "LookupTableImport", "LookupTableRemove",
)  # fmt: skip
# Compiled for itself in TensorFlow, which keeps a function from being inlined.
_COMPILED = ("_XlaMustCompile", "_noinline")
_INLINED = {"PartitionedCall", "StatefulPartitionedCall"}


@dataclass(frozen=True, slots=True)
class Frozen:
    """A graph without variables.

    Attributes:
        graph: ``GraphDef``.
        tables: Keys and values by the shared name of a table.
    """

    graph: Any
    tables: Mapping[bytes, Any]


def freeze(owner: Any, function: Any, *, inputs: Sequence[str]) -> Frozen:
    """The graph of a concrete function.

    Args:
        owner: What the function's variables and tables belong to.
        inputs: Names of the tensors that are fed.

    Raises:
        ConverterMissing: The function changes its variables or tables.
        ConversionError: TensorFlow cannot freeze it.
    """
    import tensorflow as tf
    from tf2onnx import tf_loader

    _refuse_state(function.graph.as_graph_def())
    outputs = [tensor.name for tensor in function.outputs]
    try:
        with tf.device("/cpu:0"):
            graph, tables = tf_loader.from_trackable(owner, function, list(inputs), outputs, False)
            if _release_functions(graph):
                graph = _inlined(graph, inputs, outputs)
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError, tf.errors.OpError) as error:
        raise ConversionError(
            f"TensorFlow cannot freeze the model's variables: {' '.join(str(error).split())[:300]}",
            hint="a model of more than 2 GiB is not converted; else save it as a SavedModel and try again",
        ) from error
    return Frozen(graph, tables)


def _inlined(graph: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    import tensorflow as tf
    from tf2onnx import tf_loader

    with tf.Graph().as_default():
        tf.import_graph_def(graph, name="")
        return tf_loader.tf_optimize(list(inputs), list(outputs), graph)


def _refuse_state(graph: Any) -> None:
    """Refuse what changes a variable; tf2onnx would leave that out with a warning.

    Seeds of random numbers are whole numbers, and change in layers that do nothing at inference.
    """
    import tensorflow as tf

    for node in _all_nodes(graph):
        is_seed = "dtype" in node.attr and tf.as_dtype(node.attr["dtype"].type).is_integer
        if node.op.startswith(_STATE) and not is_seed:
            raise ConverterMissing(
                f"the model changes its own state ({node.op} in {node.name!r}): a served model answers each request"
                " by itself",
                hint="build the layer without stateful=True, and pass states in and out as inputs and outputs",
            )


def _all_nodes(graph: Any) -> Iterable[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def _release_functions(graph: Any) -> bool:
    """Let functions be inlined that are marked otherwise; whether there are any."""
    found = False
    functions = graph.library.function
    for holder in (*graph.node, *functions, *(node for function in functions for node in function.node_def)):
        for mark in _COMPILED:
            if mark in holder.attr:
                del holder.attr[mark]
                found = True
    return found or any(node.op in _INLINED for node in graph.node)
