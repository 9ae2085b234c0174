"""Answers that MXNet gives as one long list of rows times steps: back to one entry a row."""

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import helper

from packager.converters.mxnet.fitting import BATCH, Fitted
from packager.converters.mxnet.sampling import drawn_samples
from packager.converters.mxnet.sizes import Size, named
from packager.converters.mxnet.values import Value
from packager.converters.onnx_files import ORT_ERRORS
from packager.core.errors import ConverterMissing, ModelInvalid

_ROWS = 3
_SEED = 11


def flat_outputs(fitted: Fitted) -> list[str]:
    """Outputs whose first axis counts something else times rows."""
    return [
        name
        for name, value in fitted.translation.outputs
        if value.dims and value.dims[0].symbol != BATCH and BATCH in value.dims[0].symbols
    ]


def with_rows(fitted: Fitted, model: bytes) -> tuple[Fitted, tuple[str, ...]]:
    """The same answers with rows on the first axis, and what is said about it.

    Which way the list runs is seen in answers: a row alone must answer as it does among others.

    Raises:
        ConverterMissing: It runs in neither way.
    """
    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {name: array[:_ROWS] for name, array in drawn_samples(fitted, _SEED).items()}
    together = _answers(session, feeds)
    alone = [_answers(session, {name: array[row : row + 1] for name, array in feeds.items()}) for row in range(_ROWS)]
    outputs, notes = [], []
    for name, value in fitted.translation.outputs:
        if name not in flat_outputs(fitted):
            outputs.append((name, value))
            continue
        parts = [answers[name] for answers in alone]
        outputs.append((name, _restored(fitted, name, value, _by_rows(name, together[name], parts))))
        notes.append(f"the output {name!r} has one entry a row: MXNet gives it as one list of rows and steps")
    return replace(fitted, translation=replace(fitted.translation, outputs=tuple(outputs))), tuple(notes)


def _answers(session: ort.InferenceSession, feeds: dict[str, Any]) -> dict[str, Any]:
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, feeds), strict=True))
    except ORT_ERRORS as error:
        raise ModelInvalid(
            f"the model stops at rows of the shapes that it says: {' '.join(str(error).split())[:300]}",
            hint="give rows that it takes with --samples, or its shapes with --input",
        ) from error


def _by_rows(name: str, together: Any, alone: list[Any]) -> bool:
    """True where all of a row come first, False where all rows of a step do."""
    rows, steps = np.stack(alone), np.stack(alone, axis=1)
    for found, wanted in ((True, rows), (False, steps)):
        if wanted.size == together.size and np.allclose(wanted.reshape(together.shape), together, atol=1e-5, rtol=1e-4):
            return found
    raise ConverterMissing(
        f"the output {name!r} mixes rows and steps in a list from which no row can be taken",
        hint="export a model whose answers have the rows on the first axis",
    )


def _restored(fitted: Fitted, name: str, value: Value, by_rows: bool) -> Value:
    graph = fitted.translation.graph
    steps = value.dims[0].over(named(BATCH))
    if steps is None:
        raise ConverterMissing(
            f"the output {name!r} has {value.dims[0]} entries on its first axis, no whole number a row",
            hint="export a model whose answers have the rows on the first axis",
        )
    last = next(node for node in graph.nodes if name in node.output)
    graph.nodes.remove(last)
    graph.forget_sizes()
    pair: list[Size] = [named(BATCH), steps] if by_rows else [steps, named(BATCH)]
    shape = graph.shape([*pair, *value.dims[1:]], scope=name)
    cut = graph.emit("Reshape", [last.input[0], shape], scope=name)[0]
    order = list(range(len(value.dims) + 1))
    if not by_rows:
        order[:2] = [1, 0]
    graph.nodes.append(helper.make_node("Transpose", [cut], [name], name=f"{name}/Rows", perm=order))
    return Value(name, (named(BATCH), steps, *value.dims[1:]), value.dtype)
