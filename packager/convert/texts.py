"""Models that take texts: the graph together with its tokenizer, as the runtime will run the two."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from packager.converters.onnx_files import ORT_ERRORS
from packager.core.errors import ConversionError, EnvironmentMissing, SampleError
from runtime.contract.dtypes import BY_ORT
from runtime.contract.manifest import TensorSpec, Tokenization
from runtime.preprocessing.tokenization import TokenizationError, Tokenizer, groups

Array = NDArray[Any]

# Longer ones take the square of it in memory.
_LONGEST_TRIED = 1024


class TextSession:
    """A session whose inputs are texts. Rows share runs in the order they are given in, whatever their lengths."""

    def __init__(self, session: ort.InferenceSession, tokenizer: Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def get_outputs(self) -> "Sequence[ort.NodeArg]":
        """The graph's outputs."""
        outputs: Sequence[ort.NodeArg] = self._session.get_outputs()
        return outputs

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Outputs for all rows.

        Raises:
            SampleError: A text cannot be tokenised.
        """
        try:
            rows = self._tokenizer.encode(feeds)
        except TokenizationError as error:
            raise SampleError(error.message, hint=error.hint, detail=error.detail) from error
        parts = [
            self._session.run(list(names), self._tokenizer.padded([rows[index] for index in group]))
            for group in groups(rows, range(len(rows)))
        ]
        return [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]


def text_session(session: ort.InferenceSession, step: Tokenization, folder: Path) -> TextSession:
    """The session with its tokenizer, which lies in ``folder``, after a look at what the graph takes.

    Raises:
        ConversionError: The graph's inputs are not those that the tokenizer feeds, with free axes, or an output has
            another size for every length of text; the tokenizer cannot be used.
        EnvironmentMissing: The library of tokenizers is not installed here.
    """
    _check_inputs(session, step)
    _check_outputs(session)
    try:
        return TextSession(session, Tokenizer(step, (folder / step.path).read_bytes()))
    except TokenizationError as error:
        missing = isinstance(error.__cause__, ImportError)
        raise (EnvironmentMissing if missing else ConversionError)(error.message, hint=error.hint) from error


def text_inputs(step: Tokenization, batch: str) -> tuple[TensorSpec, ...]:
    """What clients send."""
    return tuple(TensorSpec(name=name, dtype="BYTES", shape=(batch,)) for name in step.text_names)


def prove_sizes(session: ort.InferenceSession, step: Tokenization) -> None:
    """Run the graph on rows and tokens of several numbers: an axis that is free by name alone is found out.

    Raises:
        ConversionError: It stops at one of them.
    """
    longest = min(step.max_length, _LONGEST_TRIED)
    lengths = sorted({1, min(3, longest), min(17, longest), longest})
    for rows, length in [(1, length) for length in lengths] + [(3, min(5, longest)), (2, longest)]:
        feeds = {name: np.zeros((rows, length), np.int64) for name in step.graph_inputs}
        if step.attention_mask is not None:
            feeds[step.attention_mask] = np.ones((rows, length), np.int64)
        try:
            session.run(None, feeds)
        except ORT_ERRORS as error:
            raise ConversionError(
                f"the graph does not take {rows} rows of {length} tokens: {' '.join(str(error).split())[:300]}",
                hint="an axis was frozen when the model was exported; report it with the model's class",
            ) from error


def _check_inputs(session: ort.InferenceSession, step: Tokenization) -> None:
    found = {arg.name: (BY_ORT.get(arg.type, arg.type), list(arg.shape)) for arg in session.get_inputs()}
    for name in step.graph_inputs:
        dtype, shape = found.pop(name, ("nothing", []))
        if dtype != "INT64" or len(shape) != 2 or any(isinstance(dim, int) for dim in shape):
            raise ConversionError(
                f"the graph takes {dtype} {shape} for {name!r}, a tokenizer gives INT64 with free rows and tokens",
                hint="an axis was frozen when the model was exported; report it with the model's class",
            )
    if found:
        raise ConversionError(
            f"the graph takes {', '.join(map(repr, found))} beside what a tokenizer gives",
            hint="models that take more than texts are not served",
        )


def _check_outputs(session: ort.InferenceSession) -> None:
    for arg in session.get_outputs():
        if not arg.shape or isinstance(arg.shape[0], int) or not all(isinstance(dim, int) for dim in arg.shape[1:]):
            raise ConversionError(
                f"the output {arg.name!r} has the shape {list(arg.shape)}, expected one row of a fixed size for a text",
                hint="answers of one value a token are not served; report it with the model's class",
            )
