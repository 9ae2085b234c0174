"""Inputs of a model that reads a frame of mixed columns, or text: one tensor of shape (batch, 1) a column."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from packager.converters.sklearn.columns import Column
from packager.converters.sklearn.inputs import InputSpec, Samples
from packager.converters.sklearn.knowledge import Encoder
from runtime.contract.dtypes import Datatype

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class FrameSamples(Samples):
    """Rows of a frame; ``matrix`` holds them as numbers, text as places among the column's choices.

    Attributes:
        frame: The columns by name, whatever the model takes them in.
    """

    frame: pd.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class FrameInput:
    """The inputs of a model that reads columns of several types.

    Attributes:
        names: Columns that it was trained with. ``named``: whether it knows them by name.
        read: Those that it uses.
        flat: It takes a list of texts, not a table.
    """

    names: tuple[str, ...]
    read: tuple[Column, ...]
    named: bool
    flat: bool = False

    @property
    def width(self) -> int:
        """Columns of the training frame."""
        return len(self.names)

    @property
    def tensor_columns(self) -> dict[str, tuple[str, ...]]:
        """No tensor here has several columns."""
        return {}

    def specs(self, floats: Datatype) -> tuple[InputSpec, ...]:
        """The ONNX inputs, with this type for numbers with fractions."""
        return tuple(InputSpec(column.name, _dtype(column, floats), 1, column.position) for column in self.read)

    def feed(self, matrix: Array) -> Any:
        """Coded rows as the model takes them."""
        return self.presented(self.decoded(matrix))

    def presented(self, frame: pd.DataFrame) -> Any:
        """A frame as the model takes it."""
        if self.flat:
            return frame.iloc[:, 0].fillna("").to_numpy(object)
        return frame if self.named else frame.to_numpy(object)

    def decoded(self, matrix: Array) -> pd.DataFrame:
        """Coded rows as a frame with the types of its columns."""
        values: dict[str, Any] = {name: np.full(len(matrix), np.nan) for name in self.names}
        for column in self.read:
            values[column.name] = _decoded(column, matrix[:, column.position])
        return pd.DataFrame(values, columns=list(self.names))

    def coded(self, frame: pd.DataFrame) -> Array:
        """The inverse of ``decoded``; -1 for a text that is none of the choices."""
        matrix = np.full((len(frame), self.width), np.nan)
        for column in self.read:
            series = frame[column.name]
            if column.kind == "text":
                places = {text: place for place, text in enumerate(column.choices)}
                codes = [np.nan if pd.isna(value) else places.get(str(value), -1) for value in series]
                matrix[:, column.position] = codes
            else:
                matrix[:, column.position] = pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)
        return matrix

    def drawn(self, matrix: Array) -> Samples:
        """Synthetic samples from coded rows."""
        frame = self.decoded(matrix)
        return FrameSamples(self.presented(frame), self.coded(frame), frame=frame)

    def tensors(self, samples: Samples) -> dict[str, Array]:
        """The samples by input name, as wide as they came; a missing string is empty."""
        frame = _frame_of(samples)
        return {column.name: _tensor(column, frame[column.name])[:, None] for column in self.read}

    def cast(self, samples: Samples, floats: Datatype) -> Any:
        """What the model would be fed if it were given what the ONNX inputs hold."""
        frame = _frame_of(samples).copy()
        for column in self.read:
            if column.kind == "float" and _dtype(column, floats) == "FP32":
                series = frame[column.name]
                narrow = pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan).astype(np.float32)
                frame[column.name] = narrow.astype(series.to_numpy().dtype if series.dtype.kind == "f" else np.float64)
        return self.presented(frame)

    def survives(self, samples: Samples, floats: Datatype) -> bool:
        """Whether the input types hold every value exactly."""
        frame = _frame_of(samples)
        for column in self.read:
            if column.kind == "float" and _dtype(column, floats) == "FP32":
                values = pd.to_numeric(frame[column.name]).to_numpy(np.float64, na_value=np.nan)
                if not np.array_equal(values.astype(np.float32).astype(np.float64), values, equal_nan=True):
                    return False
        return True

    def encoders(self) -> list[Encoder]:
        """The columns of text, as what samples are drawn by."""
        return [
            Encoder(
                column.name,
                {column.position: np.arange(len(column.choices), dtype=np.float64)},
                open=False,
                counted=not column.prose,
            )
            for column in self.read
            if column.kind == "text" and column.choices
        ]

    def nullable(self) -> NDArray[np.bool_]:
        """By column, whether a step takes missing values there."""
        found = np.zeros(self.width, bool)
        for column in self.read:
            found[column.position] = column.nullable
        return found

    def column(self, index: int) -> str:
        """A column as a person would call it."""
        return repr(self.names[index])


def _frame_of(samples: Samples) -> pd.DataFrame:
    assert isinstance(samples, FrameSamples)  # noqa: S101 - FrameInput makes no others
    assert samples.frame is not None  # noqa: S101
    return samples.frame


def _dtype(column: Column, floats: Datatype) -> Datatype:
    kinds: dict[str, Datatype] = {"text": "BYTES", "int": "INT64", "bool": "BOOL"}
    return kinds.get(column.kind, "FP64" if column.wide else floats)


def _decoded(column: Column, codes: Array) -> Any:
    whole = np.nan_to_num(np.abs(np.round(codes)), posinf=0).astype(np.int64)
    match column.kind:
        case "text":
            choices: Sequence[str] = column.choices or ("",)
            texts = np.array(choices, object)[whole % len(choices)]
            return np.where(np.isnan(codes), column.missing, texts) if column.nullable else texts
        case "int":
            return np.nan_to_num(np.round(codes)).clip(-(2**53), 2**53).astype(np.int64)
        case "bool":
            return whole % 2 == 1
    return codes


def _tensor(column: Column, series: "pd.Series[Any]") -> Array:
    match column.kind:
        case "text":
            texts = ["" if pd.isna(value) else str(value) for value in series]
            return np.array(texts) if texts else np.empty(0, "<U1")
        case "int":
            return series.to_numpy(np.int64)
        case "bool":
            return series.to_numpy(np.bool_)
    return pd.to_numeric(series).to_numpy(np.float64, na_value=np.nan)
