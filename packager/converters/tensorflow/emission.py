"""The frozen graph in ONNX, by tf2onnx, with everything checked that it lets through."""

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from packager.converters.tensorflow.freezing import Frozen
from packager.converters.tensorflow.handlers import ML, ML_OPSET, handlers
from packager.converters.tensorflow.source import Port
from packager.core.errors import ConverterMissing

if TYPE_CHECKING:
    import onnx

_DOMAINS = {"", "ai.onnx", ML}
_RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
_SHOWN = 4
# Why an operation has none, where people ask.
_REASONS = {
    "StringToHashBucketFast": "hashes texts (Hashing, or several out-of-vocabulary slots)",
    "StringToHashBucketStrong": "hashes texts (Hashing, or several out-of-vocabulary slots)",
    "SparseCross": "hashes texts (HashedCrossing)",
    "StaticRegexReplace": "changes texts (TextVectorization)",
    "RegexReplace": "changes texts (TextVectorization)",
    "StringSplitV2": "splits texts (TextVectorization)",
    "StringLower": "changes texts (TextVectorization)",
}
_TEXT_HINT = (
    "leave texts to a step before the model: give it token numbers, or a StringLookup with one slot for the unknown"
)
_HINT = "replace that layer, or ask the model for what comes before it; a --plugin cannot add TensorFlow operations"


def emit(frozen: Frozen, inputs: Sequence[Port], outputs: Sequence[Port], opset: int) -> "onnx.ModelProto":
    """The graph in ONNX, its tensors under the names of ``tensor``.

    Raises:
        ConverterMissing: An operation has no ONNX form, or draws random numbers.
    """
    import tensorflow as tf
    from tf2onnx import optimizer
    from tf2onnx.tfonnx import process_tf_graph

    silence()
    with tf.device("/cpu:0"), tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph, name="")
        written = converted(
            lambda: process_tf_graph(
                graph,
                continue_on_error=False,
                opset=opset,
                input_names=[port.tensor for port in inputs],
                output_names=[port.tensor for port in outputs],
                initialized_tables=dict(frozen.tables),
                custom_op_handlers=handlers(frozen.tables),
            )
        )
        return checked(converted(lambda: optimizer.optimize_graph(written, catch_errors=False).make_model("model")))


def converted(write: Any) -> Any:
    """What tf2onnx makes; its complaints as errors that name the operation.

    Raises:
        ConverterMissing: tf2onnx has no rule for a part of the graph.
    """
    try:
        return write()
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, AssertionError, NotImplementedError) as error:
        reason = " ".join(str(error).removeprefix("make_sure failure: ").split())[:300]
        raise ConverterMissing(f"a part of the model has no ONNX form: {reason}", hint=_HINT) from error


def checked(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """The model, which holds operations of ONNX alone.

    Raises:
        ConverterMissing: It holds one that ONNX does not have; tf2onnx leaves those in without an error.
    """
    import onnx

    versions = {entry.domain: entry.version for entry in model.opset_import}
    if ML in versions:
        versions[ML] = max(versions[ML], ML_OPSET)
    unknown = [
        node
        for node in all_nodes(model.graph)
        if node.domain not in _DOMAINS or not onnx.defs.has(node.op_type, versions.get(node.domain, 1), node.domain)
    ]
    if unknown:
        raise _without_form(unknown)
    if drawn := [node for node in all_nodes(model.graph) if node.op_type in _RANDOM]:
        raise ConverterMissing(
            f"the model draws random numbers in {_layer(drawn[0].name)!r}, so no two answers to a request are alike",
            hint="export it as it is used: with training=False, and without sampling layers",
        )
    return model


def all_nodes(graph: "onnx.GraphProto") -> Iterator["onnx.NodeProto"]:
    """Nodes of the graph and of all graphs within them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from all_nodes(inner)


def _without_form(nodes: Iterable["onnx.NodeProto"]) -> ConverterMissing:
    first = {node.op_type: node.name for node in reversed(list(nodes))}
    listed = ", ".join(
        f"{kind} in {_layer(name)!r}" + (f", which {_REASONS[kind]}" if kind in _REASONS else "")
        for kind, name in sorted(first.items())[:_SHOWN]
    )
    more = f" and {len(first) - _SHOWN} more" if len(first) > _SHOWN else ""
    is_text = any(kind in _REASONS for kind in first)
    return ConverterMissing(
        f"TensorFlow operations without an ONNX form: {listed}{more}",
        hint=_TEXT_HINT if is_text else _HINT,
        detail={"operations": sorted(first)},
    )


def _layer(name: str) -> str:
    """Where in the model a node is: its path without the last part and without the numbers of Keras' calls."""
    parts = [re.sub(r"_1$", "", part) for part in name.split("/")]
    return "/".join(parts[:-1]) or name


def silence() -> None:
    """Keep tf2onnx and TensorFlow from logging what an error says by itself."""
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
