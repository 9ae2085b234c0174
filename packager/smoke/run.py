"""The smoke test: a handful of questions whose answers the package knows."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from packager.core.acceleration import in_words
from packager.core.artifact import ModelPackage
from packager.core.errors import InvocationError, NotReady
from packager.core.protocols import InferenceClient, SelfTesting
from packager.core.smoke import SmokeCheck, SmokeReport
from packager.smoke.answers import describe, judge, metadata_of, request_for, rows_of
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import TensorSpec
from runtime.contract.package import TestDataSet
from runtime.contract.wire import InferenceRequest, ModelMetadata, Tensor

DEFAULT_TIMEOUT_S = 60.0
_POLL_S = 0.05
_LEAST_REQUEST_S = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one check saw."""

    passed: bool
    detail: str
    max_abs_error: float | None = None
    rows: int | None = None


def run_smoke(client: InferenceClient, package: ModelPackage, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> SmokeReport:
    """Put the package's own test data to a running model, and compare within the package's tolerances.

    Args:
        client: A way to it.
        package: What it ought to serve.
        timeout_s: For all of it, becoming ready included.

    Returns:
        ``ready``, ``model``, ``signature``, ``provider`` where one was asked for, one check a test data set, and
        ``wrong-request``. Only ``ready`` where the endpoint is not, since the others could then say nothing. Where
        the way carries little, the runtime replays the test data itself, and is asked only what fits.
    """
    deadline = time.monotonic() + timeout_s
    ready = _timed("ready", lambda: _ready(client, deadline, timeout_s))
    if not ready.passed:
        return SmokeReport((ready,))
    own = _self_test(client, deadline) if isinstance(client, SelfTesting) else ()
    return SmokeReport((ready, *_model(client, package), *own, *_answers(client, package, deadline)))


def _ready(client: InferenceClient, deadline: float, timeout_s: float) -> _Seen:
    try:
        while not client.ready():
            if time.monotonic() >= deadline:
                return _Seen(False, f"not ready within {timeout_s:g} s")
            time.sleep(_POLL_S)
    except NotReady as error:
        return _Seen(False, error.message)
    return _Seen(True, "ready")


def _model(client: InferenceClient, package: ModelPackage) -> Iterator[SmokeCheck]:
    start = time.perf_counter()
    try:
        metadata = client.metadata(package.manifest.name)
    except InvocationError as error:
        yield _check("model", _Seen(False, error.message), start)
        return
    yield _check("model", _same_model(metadata, package), start)
    yield _timed("signature", lambda: _same_signature(metadata, package))
    if (acceleration := (metadata.parameters or {}).get("acceleration")) is not None:
        yield _check("provider", _provider(acceleration), start)


def _same_model(metadata: ModelMetadata, package: ModelPackage) -> _Seen:
    parameters = metadata.parameters or {}
    version = parameters.get("version") or next(iter(metadata.versions), None)
    manifest = package.manifest
    pairs = (
        ("name", manifest.name, metadata.name),
        ("version", manifest.version, version),
        ("digest", package.digest, parameters.get("digest")),
    )
    for what, expected, actual in pairs:
        if actual != expected:
            return _Seen(False, f"the endpoint serves {what} {actual!r}, expected {expected!r}")
    return _Seen(True, f"{manifest.name} {manifest.version} {package.digest}")


def _same_signature(metadata: ModelMetadata, package: ModelPackage) -> _Seen:
    signature = package.manifest.signature
    sides = (("inputs", signature.inputs, metadata.inputs), ("outputs", signature.outputs, metadata.outputs))
    for side, specs, seen in sides:
        expected, actual = describe([metadata_of(spec) for spec in specs]), describe(seen)
        if actual != expected:
            return _Seen(False, f"the endpoint's {side} are {actual}, expected {expected}")
    inputs, outputs = (", ".join(describe(seen)) for _, _, seen in sides)
    return _Seen(True, f"{inputs} → {outputs}")


def _provider(acceleration: Mapping[str, Any]) -> _Seen:
    """Where the model is computed: the runtime itself refuses to be ready where that is not allowed."""
    allowed = not acceleration["fell_back"] or acceleration["fallback"] != "forbid"
    return _Seen(allowed, in_words(acceleration))


def _self_test(client: SelfTesting, deadline: float) -> tuple[SmokeCheck, ...]:
    start = time.perf_counter()
    try:
        return client.self_test(timeout_s=_remaining(deadline)).checks
    except InvocationError as error:
        return (_check("self-test", _Seen(False, error.message), start),)


def _answers(client: InferenceClient, package: ModelPackage, deadline: float) -> Iterator[SmokeCheck]:
    model = package.manifest.name
    compared = False
    for case in package.test_data_sets():
        if (request := request_for(case)) is None:
            continue
        compared = True
        if isinstance(client, SelfTesting) and not client.fits(request):
            continue  # the self-test has replayed it
        yield _timed(case.name, partial(_replay, client, package, case, request, deadline))
    if not compared:
        what = "no test data set could be compared: JSON cannot carry infinity, or text that is not UTF-8"
        yield SmokeCheck("test_data", False, what, 0.0)
    yield _timed("wrong-request", lambda: _wrong_request(client, model, package, deadline))


def _replay(
    client: InferenceClient, package: ModelPackage, case: TestDataSet, request: InferenceRequest, deadline: float
) -> _Seen:
    rows = rows_of(case)
    try:
        answer = client.infer(package.manifest.name, request, timeout_s=_remaining(deadline))
    except InvocationError as error:
        return _Seen(False, error.message, rows=rows)
    verdict = judge(case, answer, package)
    if verdict.problem:
        return _Seen(False, verdict.problem, verdict.max_abs_error, rows)
    deviation = "all equal" if verdict.max_abs_error is None else f"largest error {verdict.max_abs_error:.3g}"
    return _Seen(True, f"{rows} row{'s' if rows != 1 else ''}, {deviation}", verdict.max_abs_error, rows)


def _wrong_request(client: InferenceClient, model: str, package: ModelPackage, deadline: float) -> _Seen:
    """A request that names a tensor that the model does not have must be refused, in words a client can use."""
    request = InferenceRequest(inputs=[_strange(spec) for spec in package.manifest.signature.inputs])
    try:
        client.infer(model, request, timeout_s=_remaining(deadline))
    except InvocationError as error:
        status, code = error.detail.get("status"), error.detail.get("error_code")
        if isinstance(status, int) and 400 <= status < 500 and code:
            return _Seen(True, f"refused with {status} {code}")
        return _Seen(False, f"a request with a wrong input name was not refused as the client's: {error.message}")
    return _Seen(False, "a request with a wrong input name was answered as if it were right")


def _strange(spec: TensorSpec) -> Tensor:
    shape = [dim if isinstance(dim, int) else 1 for dim in spec.shape]
    zero = "" if spec.dtype == "BYTES" else 0.0 if DTYPES[spec.dtype].is_float else spec.dtype != "BOOL" and 0
    count = 1
    for dim in shape:
        count *= dim
    return Tensor(name=f"no-such-input-{spec.name}", shape=shape, datatype=spec.dtype, data=[zero] * count)


def _remaining(deadline: float) -> float:
    """Never so little that a sound endpoint would fail for it."""
    return max(deadline - time.monotonic(), _LEAST_REQUEST_S)


def _timed(name: str, look: Callable[[], _Seen]) -> SmokeCheck:
    start = time.perf_counter()
    return _check(name, look(), start)


def _check(name: str, seen: _Seen, start: float) -> SmokeCheck:
    duration_ms = round((time.perf_counter() - start) * 1000, 3)
    return SmokeCheck(name, seen.passed, seen.detail, duration_ms, seen.max_abs_error, seen.rows)
