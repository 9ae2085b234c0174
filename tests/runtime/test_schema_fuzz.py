"""schemathesis on the server's own OpenAPI document, and hypothesis on the codecs: no request is a server's failure."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from runtime.contract.errors import DrayError
from runtime.contract.manifest import ModelManifest
from runtime.contract.package import read_package
from runtime.engine.session import OnnxModel, SessionSettings, load_model
from runtime.errors import InvalidInput
from runtime.routes.dialects import Dialect, invocations, open_inference, predict_v1, score
from tests.support.packages import make_package
from tests.support.servers import RunningServer, running_server

pytestmark = pytest.mark.slow

BOUNDED = settings(
    max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)  # fmt: skip
DIALECTS = {"v2": open_inference, "v1": predict_v1, "azureml": score, "mlflow": invocations}


@pytest.fixture(scope="module", params=["1", "0"], ids=["fast path", "FastAPI"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("fuzz")
    chosen = {"DRAY_FAST_PATH": request.param, "DRAY_MODEL_CONTROL": "0", "DRAY_LOG_LEVEL": "error"}
    with running_server(make_package(folder / "iris").root, log=folder / "log", **chosen) as running:
        yield running
        assert "Traceback" not in running.stderr()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
def test_its_own_document_leads_to_no_failure(server: RunningServer, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", timeout=20)
    asked: dict[str, set[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        asked[f"{operation.method} {operation.path}"] = statuses_of(operation, mode)
    assert len(asked) > 20
    if mode is GenerationMode.POSITIVE:
        assert any(200 in statuses for name, statuses in asked.items() if name.endswith("/infer"))
        assert 200 in asked["post /score"]


def statuses_of(operation: Any, mode: GenerationMode) -> set[int]:
    """The statuses of some requests to one operation, none of which is a failure."""
    statuses: set[int] = set()

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def no_failure(case: Any) -> None:
        response = case.call(timeout=20)
        statuses.add(response.status_code)
        assert response.status_code < 500, (case.as_curl_command(), response.text)

    try:
        no_failure()
    except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
        assert mode is GenerationMode.NEGATIVE
    return statuses


# --- codecs

# Requests that are nearly right are the ones that get far.
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, 1, -1, 4, 10**9, 2**31, 2**63, 2**64, 10**30]), st.booleans(),
    st.none(),
)  # fmt: skip
NAMES = st.sampled_from(["X", "label", "probabilities", "name", "", "0", "x" * 300, "\x00"]) | st.text(max_size=5)
LEAVES = NUMBERS | NAMES
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=20
)  # fmt: skip
ROWS = st.lists(st.lists(NUMBERS, min_size=3, max_size=5), max_size=3)
TENSORS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("X") | TREES,
        "shape": st.lists(st.sampled_from([0, 1, 2, 4, -1, 10**9, 2**63]), max_size=3) | TREES,
        "datatype": st.sampled_from(["FP32", "FP16", "FP64", "INT8", "BYTES", "BOOL", "BF16"]) | TREES,
        "data": ROWS | st.lists(NUMBERS, min_size=4, max_size=4) | TREES,
        "parameters": st.dictionaries(st.sampled_from(["binary_data_size", "binary_data"]), TREES) | TREES,
    },
)
KEYS = st.sampled_from([
    "inputs", "instances", "data", "Inputs", "GlobalParameters", "input_data", "dataframe_split", "dataframe_records",
    "columns", "index", "signature_name", "parameters", "params", "outputs", "id", "b64",
])  # fmt: skip
FRAMES = st.fixed_dictionaries({}, optional={"columns": st.lists(LEAVES, max_size=5), "index": TREES, "data": ROWS})
DOCUMENTS = TREES | st.dictionaries(KEYS, TREES | ROWS | FRAMES | st.lists(TENSORS, max_size=2), max_size=3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    package = make_package(tmp_path_factory.mktemp("codec") / "iris").root
    return load_model(read_package(package), SessionSettings(threads=1))


def answer(dialect: Dialect, headers: dict[str, str], body: bytes, model: OnnxModel) -> bytes | DrayError:
    """What both paths do with a request; only errors of ours may come out."""
    manifest: ModelManifest = model.manifest
    try:
        asked = dialect(headers)(body, manifest)
        return asked.reply(model.run(asked.inputs, asked.outputs)).body
    except DrayError as error:
        return error


CODEC = settings(BOUNDED, max_examples=250)


@pytest.mark.parametrize("name", DIALECTS)
@CODEC
@given(document=DOCUMENTS)
def test_documents_are_answered_or_refused(name: str, model: OnnxModel, document: Any) -> None:
    came = answer(DIALECTS[name], {}, json.dumps(document).encode(), model)
    if isinstance(came, DrayError):
        assert len(came.message) < 2000
    else:
        assert isinstance(json.loads(came), dict | list)


@pytest.mark.parametrize("name", DIALECTS)
@CODEC
@given(body=st.binary(max_size=200), length=st.none() | st.text(max_size=8) | st.integers().map(str))
def test_bytes_are_refused(name: str, model: OnnxModel, body: bytes, length: str | None) -> None:
    headers = {} if length is None else {"inference-header-content-length": length}
    came = answer(DIALECTS[name], headers, body, model)
    assert isinstance(came, InvalidInput)


@CODEC
@given(
    tensors=st.lists(TENSORS, min_size=1, max_size=2), tail=st.binary(max_size=64), shift=st.integers(-3, 3),
    outputs=st.none() | TREES | st.just([{"name": "label", "parameters": {"binary_data": True}}]),
)  # fmt: skip
def test_binary_tensors_are_answered_or_refused(
    model: OnnxModel, tensors: list[Any], tail: bytes, shift: int, outputs: Any
) -> None:
    text = json.dumps({"inputs": tensors, "outputs": outputs}).encode()
    headers = {"inference-header-content-length": str(len(text) + shift)}
    assert isinstance(answer(open_inference, headers, text + tail, model), bytes | DrayError)


@CODEC
@given(
    text=st.text(alphabet='1,"\n\r .-eNaé\x00', max_size=60),
    header=st.sampled_from(["", "; header=present", "; header=absent"])
)  # fmt: skip
def test_tables_are_answered_or_refused(model: OnnxModel, text: str, header: str) -> None:
    came = answer(invocations, {"content-type": f"text/csv{header}"}, text.encode(), model)
    assert isinstance(came, bytes | DrayError)
