"""A package with a circuit: host part, quantised, simulated, back to floats, host part; all of it on the CPU."""

import io
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from runtime.contract.circuit import PLATFORM, CircuitModel, CircuitPort
from runtime.contract.dtypes import BY_ORT, DTYPES
from runtime.contract.errors import PackageInvalid
from runtime.contract.manifest import ModelManifest
from runtime.contract.package import VerifiedPackage
from runtime.engine.circuit_library import CircuitLibrary, Integers, LibraryRefused
from runtime.engine.placement import CPU, simulated
from runtime.engine.platforms import simulation_here, this_platform
from runtime.engine.providers import SESSION_ERRORS, ProviderSettings, one_line
from runtime.engine.runs import Array
from runtime.engine.session import OnnxModel, SessionSettings, session_options
from runtime.errors import CircuitPlatformMissing, ModelLoadFailed, ProviderMissing, RefusedByModel, SelfTestFailed

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
# Rows that are simulated before it is asked whether anybody still waits for them.
_PIECE: Final = 256
_AGAIN: Final = "make the package again with `dray package MODEL --circuit`"
# Beyond it, two to the power of it is no double.
_LARGEST_EXPONENT: Final = 1022


class HostPart:
    """A part of the model that stays on the host, in ONNX Runtime.

    Attributes:
        inputs, outputs: Data types by the names of the tensors.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self.inputs = {arg.name: BY_ORT.get(arg.type, arg.type) for arg in session.get_inputs()}
        self.outputs = {arg.name: BY_ORT.get(arg.type, arg.type) for arg in session.get_outputs()}
        self._run: Callable[..., list[Array]] = getattr(session, "_sess", session).run

    def run(self, names: Sequence[str], feeds: Mapping[str, Array], options: Any) -> list[Array]:
        """Outputs in the order of their names; feeds that it does not take are left away."""
        return self._run(names, {name: feeds[name] for name in self.inputs}, options)


class SimulatedCircuit:
    """A run of a model whose middle is a circuit; stands in the place of a session's own."""

    def __init__(
        self, manifest: ModelManifest, library: CircuitLibrary, before: HostPart | None, after: HostPart | None
    ) -> None:
        if manifest.circuit is None:
            raise ValueError("the package holds no circuit")
        self.circuit: CircuitModel = manifest.circuit
        self._model = manifest.name
        self._library = library
        self._before, self._after = before, after
        self._types = {spec.name: np.dtype(DTYPES[spec.dtype].numpy) for spec in manifest.signature.outputs}

    def __call__(self, names: Sequence[str], feeds: Mapping[str, Array], options: Any) -> list[Array]:
        """A run."""
        entering = self._entering(feeds, options)
        integers = quantise(entering, self.circuit.input)
        answers = self.answers(integers, lambda: options is not None and bool(options.terminate))
        told = dequantise(answers, self.circuit.output).astype(np.float32)
        if self._after is None:
            return [told.astype(self._types[name], copy=False) for name in names]
        return self._after.run(names, {**feeds, self.circuit.output.tensor: told}, options)

    def answers(self, rows: Integers, stopped: Callable[[], bool] = lambda: False) -> Integers:
        """What the circuit answers to rows of integers, row by row.

        Raises:
            RefusedByModel: Nobody wants the answer any more.
        """
        flat = rows.reshape(len(rows), self._library.taken)
        pieces = []
        for at in range(0, max(1, len(flat)), _PIECE):
            if stopped():
                raise RefusedByModel(f"the run of the model {self._model!r} was told to terminate")
            pieces.append(self._library.run(flat[at : at + _PIECE]))
        found = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return _shifted(found, self.circuit.output.shift).reshape(len(rows), *self.circuit.output.shape)

    def _entering(self, feeds: Mapping[str, Array], options: Any) -> Array:
        port, before = self.circuit.input, self._before
        values = feeds[port.tensor] if before is None else before.run([port.tensor], feeds, options)[0]
        if values.shape[1:] != port.shape:
            raise RefusedByModel(
                f"rows of the shape {list(values.shape[1:])} reach the circuit of {self._model!r},"
                f" which takes {list(port.shape)}",
                hint="a circuit takes rows of one size: that of the samples that it was made with",
            )
        return values


def load_circuit(package: VerifiedPackage, settings: SessionSettings) -> tuple[OnnxModel, SimulatedCircuit]:
    """The package's model, its circuit simulated by the library that its certificate vouches for.

    Raises:
        PackageDamaged: A file was changed after the package was read.
        ProviderMissing: An execution provider has to be in use, which no circuit uses.
        CircuitPlatformMissing: There is no simulation for this platform.
        ModelLoadFailed: A part of the model cannot be loaded, or does not fit the manifest.
    """
    manifest, circuit = package.manifest, package.manifest.circuit
    if circuit is None:
        raise ValueError("the package holds no circuit")
    _check_providers(settings.contract, manifest.name)
    library = _library(package, circuit)
    before, after = (_host_part(package, path, settings) for path in (circuit.before, circuit.after))
    _check_signature(manifest, circuit, before, after)
    call = SimulatedCircuit(manifest, library, before, after)
    model = OnnxModel(package, call, (PLATFORM,))
    model.placement = simulated()
    return model, call


def check_vectors(package: VerifiedPackage, call: SimulatedCircuit) -> int:
    """Compare the circuit with the integer reference's answers that the package holds, bit for bit; how many rows.

    Raises:
        SelfTestFailed: Names the first row and output that differ.
        PackageInvalid: The rows cannot be read.
    """
    circuit = call.circuit
    asked = _rows(package, circuit.asked, circuit.input)
    expected = _rows(package, circuit.answered, circuit.output)
    if len(asked) != len(expected) or not len(asked):
        raise PackageInvalid(
            f"{circuit.asked} of {str(package.root)!r} has {len(asked)} rows, {circuit.answered} {len(expected)}",
            hint=_AGAIN,
        )
    found = call.answers(asked).reshape(len(asked), -1)
    different = np.argwhere(found != expected)
    if len(different):
        row, column = (int(place) for place in different[0])
        problem = (
            f"row {row}, output {column}: {int(found[row, column])}, the reference has {int(expected[row, column])}"
        )
        raise SelfTestFailed(
            f"the self-test of {package.manifest.name!r} on {PLATFORM} failed: {circuit.answered}: {problem}",
            hint=f"the simulation is not of this circuit; {_AGAIN}",
            detail={
                "vectors": circuit.answered,
                "problem": problem,
                "provider": PLATFORM,
                "row": row,
                "output": column,
            },
        )
    return len(asked)


def quantise(values: Array, port: CircuitPort) -> Integers:
    """Numbers as a circuit's input takes them: rounded half up and saturated; NaN counts as zero."""
    most = (1 << (port.bits - port.signed)) - 1
    least = -most - 1 if port.signed else 0
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = _times(np.asarray(values, np.float64), port.fraction)
    scaled += 0.5
    np.floor(scaled, out=scaled)
    np.clip(scaled, least, most, out=scaled)
    scaled[np.isnan(scaled)] = 0.0
    return scaled.astype(np.int64)


def dequantise(integers: Integers, port: CircuitPort) -> Floats:
    """The numbers that a circuit's integers stand for."""
    return _times(integers.astype(np.float64), -port.fraction)


def _times(values: Floats, exponent: int) -> Floats:
    """Times two to the power of ``exponent``."""
    if abs(exponent) > _LARGEST_EXPONENT:
        return np.ldexp(values, exponent)
    return values * math.ldexp(1.0, exponent)


def _shifted(values: Integers, shift: int) -> Integers:
    if shift == 0:
        return values
    return values << shift if shift > 0 else values >> -shift


def _check_providers(asked: ProviderSettings, model: str) -> None:
    """A circuit is simulated on the CPU, whatever provider is preferred; one that must be used cannot be."""
    must = asked.asked if asked.fallback == "forbid" else tuple(name for name in asked.require if name != CPU)
    if must:
        raise ProviderMissing(
            f"{', '.join(must)} must be used and cannot be: the package of {model!r} holds a circuit, which is"
            f" simulated on the CPU ({PLATFORM})",
            hint="serve a package without a circuit there, or leave the provider out for this one",
            detail={"missing": list(must), "present": [PLATFORM]},
        )
    if asked.asked:
        logger.warning(
            "%s: %s is not used: the package holds a circuit, which is simulated on the CPU (%s)",
            model,
            ", ".join(asked.asked),
            PLATFORM,
        )


def _library(package: VerifiedPackage, circuit: CircuitModel) -> CircuitLibrary:
    if (found := simulation_here(package)) is None:
        here, evidence = this_platform(), package.certificate.circuit
        held = [each.platform for each in evidence.simulations] if evidence is not None else []
        raise CircuitPlatformMissing(
            f"the circuit of {package.manifest.name!r} has no simulation for {here}; it has"
            f" {', '.join(held) or 'none at all'}",
            hint="`dray package MODEL --circuit` on a machine of this platform makes one",
            detail={"platform": here, "present": held},
        )
    try:
        library = CircuitLibrary(package.read_content(found.path))
    except LibraryRefused as error:
        raise _unloadable(package, found.path, str(error)) from error
    wanted = (math.prod(circuit.input.shape), math.prod(circuit.output.shape))
    if (library.taken, library.given) != wanted or library.taken_bits < circuit.input.bits:
        told = f"it takes {library.taken} integers of {library.taken_bits} bits and gives {library.given}"
        raise _unloadable(
            package, found.path, f"{told}, the manifest has {wanted[0]} of {circuit.input.bits}, {wanted[1]}"
        )
    return library


def _unloadable(package: VerifiedPackage, path: str, reason: str) -> ModelLoadFailed:
    return ModelLoadFailed(
        f"the simulation {path} of {package.manifest.name!r} cannot be used here: {reason}",
        hint=f"it was built for another system (its C library, say); {_AGAIN} on one like this",
        detail={"simulation": path, "reason": reason},
    )


def _host_part(package: VerifiedPackage, path: str | None, settings: SessionSettings) -> HostPart | None:
    if path is None:
        return None
    try:
        content = package.read_content(path)
        return HostPart(ort.InferenceSession(content, sess_options=session_options(settings), providers=[CPU]))
    except SESSION_ERRORS as error:
        raise ModelLoadFailed(
            f"onnxruntime {ort.__version__} cannot load {path} of {package.manifest.name!r}: {one_line(error)}",
            hint="package the model for this version of onnxruntime, or serve it with the one that packaged it",
        ) from error


def _check_signature(
    manifest: ModelManifest, circuit: CircuitModel, before: HostPart | None, after: HostPart | None
) -> None:
    """Every tensor that a part needs is one of the signature, or comes from the part before it."""
    signature = manifest.signature
    given: dict[str, str] = {spec.name: spec.dtype for spec in signature.inputs}
    entry, told = circuit.input.tensor, circuit.output.tensor
    needed = {entry: given.get(entry, "absent")} if before is None else dict(before.inputs)
    needed |= {name: kind for name, kind in (after.inputs if after else {}).items() if name != told}
    wrong = sorted(name for name, kind in needed.items() if given.get(name) != kind)
    if before is not None and entry not in before.outputs:
        wrong.append(entry)
    answered = (
        dict(after.outputs) if after else {spec.name: spec.dtype for spec in signature.outputs if spec.name == told}
    )
    wrong += [spec.name for spec in signature.outputs if answered.get(spec.name) != spec.dtype]
    if wrong:
        raise ModelLoadFailed(
            f"the parts of the model {manifest.name!r} do not fit its manifest: {', '.join(wrong)}", hint=_AGAIN
        )


def _rows(package: VerifiedPackage, path: str, port: CircuitPort) -> Integers:
    count = math.prod(port.shape)
    try:
        rows = np.load(io.BytesIO(package.read_content(path)), allow_pickle=False)
        if rows.dtype.kind not in "iu" or rows.ndim < 1 or rows.size != len(rows) * count:
            raise ValueError(f"{rows.dtype} of the shape {list(rows.shape)}, expected rows of {count} integers")
    except (ValueError, EOFError, OSError) as error:
        raise PackageInvalid(
            f"{path} of {str(package.root)!r} cannot be read: {one_line(error)}", hint=_AGAIN, detail={"file": path}
        ) from error
    flat: Integers = rows.reshape(len(rows), count).astype(np.int64)
    return flat
