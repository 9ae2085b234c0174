"""One verified package in ONNX Runtime."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from runtime.contract.dtypes import BY_ORT
from runtime.contract.manifest import ModelManifest
from runtime.contract.package import VerifiedPackage
from runtime.engine.finite import check_finite
from runtime.engine.placement import CPU, Placement
from runtime.engine.providers import (
    CUDA_BASED,
    ORT_ERRORS,
    SESSION_ERRORS,
    Fallback,
    ProviderSettings,
    one_line,
    open_session,
    refuse_cpu,
)
from runtime.engine.runs import Array, Call, count_rows
from runtime.engine.statistics import Statistics
from runtime.engine.texts import answer_texts
from runtime.errors import ModelLoadFailed, RefusedByModel
from runtime.preprocessing.tokenization import TokenizationError, Tokenizer

__all__ = [
    "CPU",
    "CUDA_BASED",
    "Cancellation",
    "OnnxModel",
    "SessionSettings",
    "load_model",
    "session_options",
    "values_as_array",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How sessions are made.

    Attributes:
        threads: For one run.
        adapt: Whether a model of long runs may take one thread for each of several runs at a time.
        max_batch: Rows of one run, where it is proven that they do not depend on one another; None: no limit.
        providers: Preferred execution providers, best first; the CPU's comes last in any case.
        require: Providers that have to be in use.
        provider_options: Of each provider, by name.
        fallback: Whether the CPU may do what was asked of others.
    """

    threads: int
    adapt: bool = False
    max_batch: int | None = None
    providers: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    provider_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fallback: Fallback | None = None

    @property
    def contract(self) -> ProviderSettings:
        """What of it is about execution providers."""
        return ProviderSettings(
            preferred=self.providers, require=self.require, options=self.provider_options, fallback=self.fallback
        )


class Cancellation:
    """A handle by which another thread stops a run, whether it has begun or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._options: ort.RunOptions | None = None

    def cancel(self) -> None:
        """Stop the run at its next node."""
        with self._lock:
            self._cancelled = True
            if self._options is not None:
                self._options.terminate = True

    def cancelled(self) -> bool:
        """Whether the run was told to stop."""
        return self._cancelled

    def run_options(self) -> ort.RunOptions:
        """Options of the run that this handle stops."""
        with self._lock:
            self._options = ort.RunOptions()
            self._options.terminate = self._cancelled
            return self._options


class OnnxModel:
    """A model that answers, not yet proven by its self-test.

    Args:
        end_profiling: Of its session; None where none writes down its runs.

    Attributes:
        providers: The execution providers in use, best first; what simulates a circuit, for a package with one.
        placement: Where its nodes ran, once that was seen; None where nothing but the CPU was asked for.
        why: Why it is not on a provider that was asked for, where that is known when it is loaded.
        statistics: Of every run so far; the self-test begins them anew.
        most_rows: Of one run; a larger request has several. None: no limit. Rows must not depend on one another.
        call: A run of the graph; ``runtime.engine.runs`` has others to put in its place.
    """

    def __init__(
        self,
        package: VerifiedPackage,
        call: Call,
        providers: Sequence[str],
        tokenizer: Tokenizer | None = None,
        *,
        end_profiling: Callable[[], str] | None = None,
    ) -> None:
        self.package = package
        self._tokenizer = tokenizer
        self.providers: tuple[str, ...] = tuple(providers)
        self.placement: Placement | None = None
        self.why = ""
        self._end_profiling = end_profiling
        self.statistics = Statistics()
        self.most_rows: int | None = None
        self.call = call
        self._batchable = package.certificate.batch_safety.batchable
        self._counts_rows = self.manifest.signature.batch_dim is not None
        self._limited = [spec for spec in self.manifest.signature.inputs if spec.non_finite != "any"]

    def profile(self) -> Path:
        """What ran so far, of a model that was loaded with a place for that; nothing is written down after it."""
        if self._end_profiling is None:
            raise ValueError("nothing was written down of this model's runs")
        return Path(self._end_profiling())

    @property
    def manifest(self) -> ModelManifest:
        """Name, version, signature and labels."""
        return self.package.manifest

    def run(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        cancellation: Cancellation | None = None,
    ) -> dict[str, Array]:
        """Outputs by name, in the order of ``outputs`` (all, in the signature's order, when None).

        Args:
            inputs: Every input, of the signature's type and shape.

        Raises:
            InvalidInput: NaN or infinity where the source takes none.
            RefusedByModel: ONNX Runtime stops at these values.
        """
        self.check(inputs)
        names = self.manifest.signature.output_names if outputs is None else outputs
        rows = count_rows(inputs) if self._counts_rows else 1
        most = self.most_rows
        if most is None or rows <= most:
            return dict(zip(names, self._counted(names, inputs, rows, cancellation), strict=True))
        parts = [
            self._counted(
                names,
                {name: value[at : at + most] for name, value in inputs.items()},
                min(most, rows - at),
                cancellation,
            )
            for at in range(0, rows, most)
        ]
        return {name: np.concatenate(pieces) for name, pieces in zip(names, zip(*parts, strict=True), strict=True)}

    def _counted(
        self, names: Sequence[str], inputs: Mapping[str, Array], rows: int, cancellation: Cancellation | None
    ) -> Sequence[Array]:
        started = time.perf_counter_ns()
        try:
            results = self._results(names, inputs, cancellation)
        except RefusedByModel:
            self.statistics.add(rows=0, ns=time.perf_counter_ns() - started, succeeded=False)
            raise
        self.statistics.add(rows=rows, ns=time.perf_counter_ns() - started, succeeded=True)
        return results

    def _results(
        self, names: Sequence[str], inputs: Mapping[str, Array], cancellation: Cancellation | None
    ) -> Sequence[Array]:
        options = cancellation.run_options() if cancellation is not None else None
        if self._tokenizer is None:
            return self._ask(names, inputs, options)

        def ask(feeds: Mapping[str, Array]) -> list[Array]:
            return self._ask(names, feeds, options)

        stopped = cancellation.cancelled if cancellation is not None else (lambda: False)
        return answer_texts(self._tokenizer, inputs, ask, batchable=self._batchable, stopped=stopped)

    def _ask(self, names: Sequence[str], feeds: Mapping[str, Array], options: ort.RunOptions | None) -> list[Array]:
        try:
            results = self.call(names, feeds, options)
        except ORT_ERRORS as error:
            reason = one_line(error)
            raise RefusedByModel(
                f"the model {self.manifest.name!r} stops at these values: {reason}",
                hint="they fit its signature; look at what they mean to the model (an index, a size, an empty batch)",
            ) from error
        return results

    def check(self, inputs: Mapping[str, Array]) -> None:
        """Refuse what the source refuses, and the graph alone would not.

        Raises:
            InvalidInput: NaN or infinity where the source takes none.
        """
        for spec in self._limited:
            check_finite(spec, inputs[spec.name])


def load_model(package: VerifiedPackage, settings: SessionSettings, *, profile: Path | None = None) -> OnnxModel:
    """The package's model in ONNX Runtime, made from the bytes that its digests vouch for.

    Args:
        profile: A folder for what the session writes down of its runs until ``OnnxModel.profile`` is asked for.

    Raises:
        PackageDamaged: A file was changed after the package was read.
        ProviderMissing: A required execution provider is absent or was left out by ONNX Runtime.
        ModelLoadFailed: ONNX Runtime does not take the model, or it is not as the manifest says.
    """
    tokenizer = _tokenizer(package)
    onnx = package.manifest.onnx
    contents = [package.read_content(path) for path in onnx.external_data]

    def make(providers: list[tuple[str, dict[str, str]]], strict: bool) -> Any:
        options = session_options(settings)
        if contents:
            sizes = [len(content) for content in contents]
            options.add_external_initializers_from_files_in_memory(list(onnx.external_data), contents, sizes)
        if strict:
            refuse_cpu(options)
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile / "run")
        content = package.read_content(onnx.path)
        # ONNX Runtime would try again with providers of its own choice, and print that.
        return ort.InferenceSession(content, sess_options=options, providers=providers, enable_fallback=0)

    try:
        opened = open_session(settings.contract, make)
    except SESSION_ERRORS as error:
        raise ModelLoadFailed(
            f"onnxruntime {ort.__version__} cannot load the model {package.manifest.name!r}: {one_line(error)}",
            hint="package the model for this version of onnxruntime, or serve it with the one that packaged it",
        ) from error
    session = opened.session
    # Called below its own wrapper in Python, which takes half of a small run to look at arguments that are checked
    # here already, and would go on with the CPU where another provider fails.
    call: Call = getattr(session, "_sess", session).run
    model = OnnxModel(package, call, session.get_providers(), tokenizer, end_profiling=session.end_profiling)
    model.why = opened.why
    _check_signature(model, session)
    return model


def _tokenizer(package: VerifiedPackage) -> Tokenizer | None:
    step = package.manifest.preprocessing
    if step is None:
        return None
    try:
        return Tokenizer(step, package.read_content(step.path))
    except TokenizationError as error:
        raise ModelLoadFailed(
            f"the model {package.manifest.name!r} cannot be served: {error.message}", hint=error.hint
        ) from error


def session_options(settings: SessionSettings) -> ort.SessionOptions:
    """Of any session of a model."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal: errors come as exceptions, and a refused request is no line in the log
    # Spinning threads eat the quota of a container, and the processors of its neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _check_signature(model: OnnxModel, session: ort.InferenceSession) -> None:
    signature = model.manifest.signature
    step = model.manifest.preprocessing
    taken = dict.fromkeys(step.graph_inputs, "INT64") if step else {spec.name: spec.dtype for spec in signature.inputs}
    given = {spec.name: spec.dtype for spec in signature.outputs}
    for side, promised, args in (
        ("inputs", taken, session.get_inputs()),
        ("outputs", given, session.get_outputs()),
    ):
        found = {arg.name: BY_ORT.get(arg.type, arg.type) for arg in args}
        if promised != found:
            raise ModelLoadFailed(
                f"the model {model.manifest.name!r} has the {side} {found}, its manifest says {promised}",
                hint="make the package again with `dray package`",
            )


def values_as_array(values: bytes | tuple[bytes, ...], shape: Sequence[int], numpy_type: str) -> Array:
    """The values of a test-data tensor as ONNX Runtime takes them; BYTES as ``str``."""
    if isinstance(values, tuple):
        array: Array = np.empty(len(values), dtype=object)
        array[:] = [value.decode("utf-8", "replace") for value in values]
        return array.reshape(shape)
    return np.frombuffer(values, dtype=numpy_type).reshape(shape)
