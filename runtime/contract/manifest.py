"""The manifest of a model package: its content, and nothing that differs from machine to machine."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    model_validator,
)

from runtime.contract.circuit import CircuitModel
from runtime.contract.dtypes import Datatype
from runtime.contract.persisted import Persisted, RelativePath, Sha256

SCHEMA_VERSION: Final = 1
MANIFEST_NAME: Final = "manifest.json"
MODEL_NAME: Final = "model.onnx"


FixedDim = Annotated[int, Field(strict=True, ge=1)]  # strict: JSON true is not 1
SymbolicDim = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
Dim = FixedDim | SymbolicDim
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
# Both stand in URLs, folder names and Azure tags.
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
ModelVersion = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
# Which floats beside the finite ones an input takes: all, NaN but no infinity, or none.
NonFinite = Literal["any", "nan", "none"]
Label = StrictBool | StrictInt | StrictFloat | StrictStr


class TensorSpec(Persisted):
    """One input or output: name, data type and shape.

    Attributes:
        shape: A number is fixed; a name is free, and the same name is the same size.
        columns: Names of the last axis' entries, in order, where the model was trained on named columns.
        non_finite: What the source itself takes; the server refuses the rest, as the source does, where the graph alone
            would go on to an answer.
    """

    name: Annotated[str, Field(min_length=1)]
    dtype: Datatype
    shape: tuple[Dim, ...]
    columns: tuple[str, ...] | None = None
    non_finite: NonFinite = "any"

    @model_validator(mode="after")
    def _columns_fit(self) -> Self:
        if self.columns is not None and (not self.shape or self.shape[-1] != len(self.columns)):
            raise ValueError(f"{self.name!r} names {len(self.columns)} columns, its last axis is {self.shape[-1:]}")
        return self


class Signature(Persisted):
    """What goes in and what comes out.

    Attributes:
        batch_dim: Name of the free axis that counts rows, first in every tensor that has it; None when it is fixed.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_dim: str | None = None

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        for side in (self.inputs, self.outputs):
            names = [spec.name for spec in side]
            if len(set(names)) != len(names):
                raise ValueError(f"tensor names repeat: {names}")
        return self

    @cached_property
    def input_specs(self) -> Mapping[str, TensorSpec]:
        """The inputs by name, in their order."""
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def output_specs(self) -> Mapping[str, TensorSpec]:
        """The outputs by name, in their order."""
        return {spec.name: spec for spec in self.outputs}

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in their order."""
        return tuple(self.output_specs)


class SourceInfo(Persisted):
    """The model that was converted. The file name carries no folder: the digest is the same on every machine."""

    framework: str
    framework_version: str
    filename: str
    sha256: Sha256


class OnnxInfo(Persisted):
    """The ONNX file, as read back from it.

    Attributes:
        opset: Version of the default domain.
        domains: Versions of the other domains, such as ``ai.onnx.ml``.
        external_data: Files beside the model that hold its large tensors.
    """

    path: RelativePath
    opset: Annotated[int, Field(strict=True, ge=1)]
    domains: Mapping[str, int]
    ir_version: Annotated[int, Field(strict=True, ge=1)]
    sha256: Sha256
    size_bytes: Annotated[int, Field(strict=True, ge=0)]
    external_data: tuple[RelativePath, ...] = ()


class Tokenization(Persisted):
    """Texts become token ids before they reach the graph: a tokenizer, and all that its own file leaves open.

    The signature holds the texts, which clients send; the graph's own inputs are named here.

    Attributes:
        path: The tokenizer, in the form of the library ``tokenizers``.
        text, text_pair: Inputs of the signature, BYTES with one text a row; a pair makes one sequence of two texts.
        input_ids, attention_mask, token_type_ids: Inputs of the graph, INT64 of rows by tokens; None where it has none.
        max_length: Tokens of a row, special ones included; what is longer is cut, the longer text of a pair first.
        truncation_side, padding_side: At which end tokens are cut off, and shorter rows filled up.
        prefix: Stands before every text (the first of a pair), such as a model's prompt.
    """

    kind: Literal["tokenizer"] = "tokenizer"
    path: RelativePath = "tokenizer.json"
    text: Annotated[str, Field(min_length=1)] = "text"
    text_pair: Annotated[str, Field(min_length=1)] | None = None
    input_ids: Annotated[str, Field(min_length=1)]
    attention_mask: Annotated[str, Field(min_length=1)] | None = None
    token_type_ids: Annotated[str, Field(min_length=1)] | None = None
    max_length: Annotated[int, Field(strict=True, ge=1)]
    truncation_side: Literal["left", "right"] = "right"
    padding_side: Literal["left", "right"] = "right"
    pad_id: Annotated[int, Field(strict=True, ge=0)] = 0
    pad_type_id: Annotated[int, Field(strict=True, ge=0)] = 0
    prefix: str = ""

    @property
    def text_names(self) -> tuple[str, ...]:
        """Inputs of the signature that it takes."""
        return (self.text,) if self.text_pair is None else (self.text, self.text_pair)

    @property
    def graph_inputs(self) -> tuple[str, ...]:
        """Inputs of the graph that it feeds."""
        return tuple(name for name in (self.input_ids, self.attention_mask, self.token_type_ids) if name is not None)


class OutputTolerance(Persisted):
    """What an output is held to: |actual - expected| <= atol + rtol * |expected|.

    Attributes:
        rms: What the root of the mean squared error over a test data set may be; None: as large as the entries allow.
    """

    atol: Annotated[float, Field(ge=0)]
    rtol: Annotated[float, Field(ge=0)]
    rms: Annotated[float, Field(ge=0)] | None = None


class ModelManifest(Persisted):
    """Content of a model package; the package digest covers it and every file that it names.

    Attributes:
        preprocessing: What the runtime does to the signature's inputs before the graph; None where they are its own.
        files: SHA-256 of every content file but the manifest itself, by path relative to the package.
        labels: By output name, the class that each column of it (or value in it) stands for.
        training: What the source tells of how the model was found: a search's best parameters and scores.
        tolerances: By output name, how near to the source's answers a quantised model comes on the test data.
        circuit: The circuit whose simulation answers in the graph's place, if there is one.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    name: ModelName
    version: ModelVersion
    source: SourceInfo
    onnx: OnnxInfo
    signature: Signature
    files: Mapping[RelativePath, Sha256]
    labels: Mapping[str, tuple[Label, ...]] | None = None
    training: Mapping[str, JsonValue] | None = None
    preprocessing: Tokenization | None = None
    tolerances: Mapping[str, OutputTolerance] | None = None
    circuit: CircuitModel | None = None

    @model_validator(mode="after")
    def _preprocessing_fits(self) -> Self:
        if (step := self.preprocessing) is None:
            return self
        if step.path not in self.files:
            raise ValueError(f"the tokenizer {step.path!r} is not among the files")
        taken = {spec.name: (spec.dtype, len(spec.shape)) for spec in self.signature.inputs}
        if taken != dict.fromkeys(step.text_names, ("BYTES", 1)):
            raise ValueError(f"the tokenizer takes {list(step.text_names)}, one text a row; the inputs are {taken}")
        return self

    @model_validator(mode="after")
    def _tolerances_are_of_outputs(self) -> Self:
        strange = set(self.tolerances or ()) - {spec.name for spec in self.signature.outputs}
        if strange:
            raise ValueError(f"tolerances of outputs that there are not: {sorted(strange)}")
        return self

    @model_validator(mode="after")
    def _circuit_is_whole(self) -> Self:
        if (circuit := self.circuit) is None:
            return self
        named = (circuit.before, circuit.after, circuit.asked, circuit.answered)
        absent = [path for path in named if path is not None and path not in self.files]
        if absent:
            raise ValueError(f"files of the circuit are not among the files: {absent}")
        return self

    def to_bytes(self) -> bytes:
        """The canonical bytes of ``manifest.json``: keys sorted by this schema, two spaces, a final newline.

        A package without preprocessing, tolerances or circuit has the bytes, and the digest, of before there were any.
        """
        ordered = self.model_copy(update={"files": dict(sorted(self.files.items()))})
        optional = ("preprocessing", "tolerances", "circuit")
        absent = {name for name in optional if getattr(self, name) is None}
        return (ordered.model_dump_json(indent=2, exclude=absent) + "\n").encode()


def content_digest(files: Mapping[str, str]) -> str:
    """Digest of a package's content, whatever order the files were read in.

    Args:
        files: SHA-256 (hex) by relative path, ``manifest.json`` among them; the evidence is not.

    Returns:
        ``sha256:`` and 64 hex digits.
    """
    lines = "".join(f"{path}\0{sha256}\n" for path, sha256 in sorted(files.items()))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
