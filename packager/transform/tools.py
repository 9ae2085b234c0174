"""What all tools for changing a model share: they are kept quiet, and their graphs are written in one way."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx

# Protobuf writes no message over 2 GiB; quantised tensors are far below it, other weights may not be.
_MAX_INLINE_BYTES = 1_900_000_000
_FUSED_DOMAIN = "com.microsoft"


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep what the tools print, log and warn of out of the streams, which belong to the command."""
    disabled = logging.root.manager.disable
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(disabled)


def write_model(model: onnx.ModelProto, out: Path) -> None:
    """Write a graph: the same bytes for the same graph, its weights within where they fit.

    ONNX Runtime and the quantiser declare every operator set that they know, of which other runtimes may never have
    heard, and the transformer optimiser forgets the one that it fuses into: what is declared is what nodes use.
    """
    used = {node.domain for node in all_nodes(model)} | {function.domain for function in model.functions}
    kept = [entry for entry in model.opset_import if (entry.domain in used or entry.domain in {"", "ai.onnx"})]
    if _FUSED_DOMAIN in used - {entry.domain for entry in kept}:
        kept.append(onnx.helper.make_opsetid(_FUSED_DOMAIN, 1))
    del model.opset_import[:]
    model.opset_import.extend(sorted(kept, key=lambda entry: entry.domain))
    if model.ByteSize() < _MAX_INLINE_BYTES:
        out.write_bytes(model.SerializeToString(deterministic=True))
        return
    onnx.save_model(model, out, save_as_external_data=True, location=f"{out.name}.data", all_tensors_to_one_file=True)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a model, of its inner graphs and of its functions."""
    yield from _nodes_of(model.graph.node)
    for function in model.functions:
        yield from _nodes_of(function.node)


def _nodes_of(nodes: "Iterator[onnx.NodeProto] | list[onnx.NodeProto]") -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes_of(list(graph.node))
