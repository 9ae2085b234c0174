"""From a model file to ONNX: what goes into a converter, what comes out, and what is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runtime.contract.certificate import BatchSafety, Coverage, Parity
from runtime.contract.circuit import CircuitEvidence, CircuitModel
from runtime.contract.dtypes import Datatype
from runtime.contract.manifest import (
    Label,
    NonFinite,
    OnnxInfo,
    OutputTolerance,
    Signature,
    SourceInfo,
    Tokenization,
)
from runtime.contract.transformation import Transformation

DEFAULT_OPSET = 18
DEFAULT_ML_OPSET = 3
DEFAULT_ATOL = 1e-5
DEFAULT_RTOL = 1e-4
DEFAULT_SEED = 20_240_501
# What ``ConversionRequest.options`` may hold beside the options of plugins from elsewhere.
OPTIONS = {
    "plugin": "module, or .py file, that registers converters of the user's",
    "plugin_folder": "where the modules of a model with a plugin are",
    "function": "of a Python file, the function that makes the model and an example of its input",
    "class": "MODULE:NAME, the class of a model whose file holds weights alone, or objects of it",
    "class_args": "JSON file with the arguments of its constructor, by name",
    "code_folders": "folders with the user's own modules, as a list",
    "dynamic": "further free axes, as a list of NAME:AXIS",
    "signature": "signature of a SavedModel or TFLite file",
    "lengths": "true: a second input of a sequence model holds the lengths",
}
Reference = Literal["source", "expected-file", "self", "none"]


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model file or folder, as the user names it.

    Attributes:
        path: Absolute.
        framework: Name of a converter, when the user says which; else it is recognised.
        function: Of a Python file, the function that makes the model.
        packages: Requirements (PEP 508) of the model's own code, beside its framework.
    """

    path: Path
    framework: str | None = None
    function: str | None = None
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputHint:
    """``--input NAME=DTYPE:D0,D1``: what a model file does not hold. A letter is a free axis."""

    name: str
    dtype: Datatype
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """One call of a converter: files in, files out.

    Attributes:
        samples: The user's samples file; None asks for synthetic samples drawn with ``seed``.
        workdir: An empty folder for what the converter writes.
        opset: Version of the default ONNX domain. ``ml_opset``: that of ai.onnx.ml.
        atol, rtol: What the answers will be held to, for converters that can choose a precision.
        options: For converters that know them, by name, as JSON values; ``OPTIONS`` says which there are. Files and
            folders that an absolute path of them names can be read while converting.
        trusted: What the file would run that is on no list, and may; by the names that the converter gave it.
    """

    source: Path
    workdir: Path
    samples: Path | None = None
    opset: int = DEFAULT_OPSET
    ml_opset: int = DEFAULT_ML_OPSET
    seed: int = DEFAULT_SEED
    atol: float = DEFAULT_ATOL
    rtol: float = DEFAULT_RTOL
    inputs: tuple[InputHint, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What holds while a model file is loaded in a child process.

    Attributes:
        frameworks: Whose lists of harmless names hold for what is unpickled; None where the file is trusted, or is
            none that is unpickled.
        classes: Beside those lists, the class that the user named as the model's: ``MODULE:NAME``.
        imports: Folders that a trusted file may import from, after those of PYTHONPATH.
    """

    frameworks: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()
    imports: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class RawConversion:
    """What a converter leaves in its folder; the rest is computed from it, once, for all converters.

    All arrays are ``.npz`` by tensor name, row i of each belonging to sample i, without pickled objects.

    Attributes:
        onnx: The ONNX file.
        samples: Original input values, as wide as the source takes them (float64 where they are).
        reference_original: The source's answers to ``samples``; None when there is no source to ask.
        reference_cast: The source's answers to ``samples`` after a cast to the ONNX input types.
        columns: By input name, the column names that the model was trained with.
        labels: By output name, the classes in column order.
        non_finite: By input name, which of NaN and infinity the source takes; absent: all.
        versions: Of the framework and the conversion tools, by distribution name.
        seed: None when the samples are the user's.
        training: What the file tells of how the model was found, as JSON: a search's parameters and scores.
        preprocessing: How texts, which the samples then are, become the graph's inputs; its file lies beside the graph.
    """

    onnx: Path
    samples: Path
    reference: Reference
    reference_original: Path | None
    reference_cast: Path | None
    framework: str
    framework_version: str
    synthetic: bool
    seed: int | None
    coverage: Coverage
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, tuple[Label, ...]] = field(default_factory=dict)
    non_finite: Mapping[str, NonFinite] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None
    preprocessing: Tokenization | None = None


@dataclass(frozen=True, slots=True)
class TestCase:
    """Rows of samples and the source's answers, ready to be written as ONNX test data.

    Attributes:
        inputs, outputs: Serialised TensorProto, in the order of the signature.
    """

    __test__ = False  # pytest would collect the name

    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CircuitForm:
    """A model as a verified circuit.

    Attributes:
        folder: Holds the files that ``model`` and ``evidence`` name, at those paths, and the project.
    """

    model: CircuitModel
    evidence: CircuitEvidence
    folder: Path


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """A verified conversion: everything a package is written from.

    Attributes:
        onnx_path: In a working folder that lives until the package is written.
        external_data: Files beside ``onnx_path``, by name.
        preprocessing: As in ``RawConversion``; the signature is that of the texts.
        raw: What the converter left, for steps that prove their own work; it lives as long as ``onnx_path``.
        tolerances: By output name, what the test data are held to where it is not the tolerance of parity.
        circuit: What answers in the graph's place; the test cases are then the integer reference's answers.
    """

    onnx_path: Path
    external_data: tuple[str, ...]
    source: SourceInfo
    onnx: OnnxInfo
    signature: Signature
    labels: Mapping[str, tuple[Label, ...]] | None
    test_cases: tuple[TestCase, ...]
    reference: Reference
    parity: Parity | None
    batch_safety: BatchSafety
    versions: Mapping[str, str]
    trusted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None
    preprocessing: Tokenization | None = None
    raw: RawConversion | None = None
    tolerances: Mapping[str, OutputTolerance] | None = None
    transform: Transformation | None = None
    circuit: CircuitForm | None = None
