"""Execution providers: what is asked for is used, or refused by name, or said to be the CPU."""

import json
from pathlib import Path
from typing import Any

import httpx
import onnxruntime as ort
import pytest

from runtime.contract.package import VerifiedPackage, read_package
from runtime.engine.bring_up import bring_up
from runtime.engine.placement import Placement, placed
from runtime.engine.providers import ProviderSettings, open_session
from runtime.engine.session import SessionSettings
from runtime.errors import ProviderFellBack, ProviderMissing
from runtime.settings import SettingInvalid, read_settings
from tests.support.packages import make_package
from tests.support.servers import running_server

CPU, VITIS, CUDA = "CPUExecutionProvider", "VitisAIExecutionProvider", "CUDAExecutionProvider"
# It is in every wheel for Linux, and takes no node of an ordinary graph.
AZURE, OPENVINO = "AzureExecutionProvider", "OpenVINOExecutionProvider"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> VerifiedPackage:
    return read_package(make_package(tmp_path_factory.mktemp("p") / "iris").root)


def asked(name: str, fallback: Any, **more: Any) -> SessionSettings:
    return SessionSettings(threads=1, providers=(name,), fallback=fallback, **more)


def need(name: str) -> None:
    if name not in ort.get_available_providers():
        pytest.skip(f"this onnxruntime has no {name}")


def test_provider_that_is_not_in_the_wheel_is_refused_where_fallback_is_forbidden(package: VerifiedPackage) -> None:
    with pytest.raises(ProviderMissing, match=f"{VITIS} must be used and cannot be.*has .*{CPU}"):
        bring_up(package, asked(VITIS, "forbid"))


def test_provider_that_takes_no_node_is_refused_with_the_nodes_that_ran_on_the_cpu(package: VerifiedPackage) -> None:
    need(AZURE)
    with pytest.raises(ProviderFellBack) as caught:
        bring_up(package, asked(AZURE, "forbid"))
    assert caught.value.code == "E-PROVIDER-FALLBACK"
    assert "not on AzureExecutionProvider: MatMul_0 (MatMul), Softmax_1 (Softmax)" in caught.value.message
    assert caught.value.detail["nodes"] == {CPU: 3}


def test_required_provider_that_does_nothing_is_not_in_use(package: VerifiedPackage) -> None:
    need(AZURE)
    with pytest.raises(ProviderFellBack):
        bring_up(package, SessionSettings(threads=1, require=(AZURE,)))


@pytest.mark.parametrize("name", [VITIS, AZURE])
def test_cpu_that_stands_in_is_called_what_it_is(package: VerifiedPackage, name: str) -> None:
    if name == AZURE:
        need(AZURE)
    model, _, cases = bring_up(package, asked(name, "allow"))
    assert cases == 2
    assert model.providers == (CPU,)
    assert model.placement is not None
    assert model.placement.fell_back
    assert model.placement.report()["active"] == CPU
    assert f"{name} was asked for" in model.placement.in_words()


def test_file_that_an_option_names_has_to_be_there(package: VerifiedPackage) -> None:
    need(AZURE)
    options = {AZURE: {"config_file": "/no/such.json"}}
    with pytest.raises(ProviderMissing, match=r"config_file of AzureExecutionProvider is '/no/such.json'"):
        bring_up(package, asked(AZURE, "forbid", provider_options=options))


def test_graph_that_a_provider_takes_whole_is_on_it_and_nowhere_else(package: VerifiedPackage) -> None:
    need(OPENVINO)
    model, _, _ = bring_up(package, asked(OPENVINO, "forbid"))
    assert model.providers == (OPENVINO,)
    assert model.placement is not None
    assert not model.placement.fell_back
    assert set(model.placement.nodes) == {OPENVINO}


def test_provider_that_does_not_start_is_refused_or_told(package: VerifiedPackage) -> None:
    need(OPENVINO)
    options = {OPENVINO: {"device_type": "NO_SUCH"}}
    with pytest.raises(ProviderMissing, match="must be used and did not start; the session has CPU"):
        bring_up(package, asked(OPENVINO, "forbid", provider_options=options))
    model, _, _ = bring_up(package, asked(OPENVINO, "allow", provider_options=options))
    assert model.providers == (CPU,)
    assert model.placement is not None
    assert "did not start" in model.placement.in_words()


class Starts:
    """Stands for ONNX Runtime where a session is made; fails with these errors, one a time."""

    def __init__(self, *errors: Exception | None, active: tuple[str, ...] = (VITIS, CPU)) -> None:
        self.errors, self.active = list(errors), active
        self.asked: list[tuple[list[Any], bool]] = []

    def __call__(self, providers: list[tuple[str, dict[str, str]]], strict: bool) -> Any:
        self.asked.append((providers, strict))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return self

    def get_providers(self) -> list[str]:
        return list(self.active)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime that says it has every provider."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: [VITIS, CUDA, CPU])
    monkeypatch.setattr("runtime.engine.providers._load_cuda", lambda: None)


@pytest.mark.usefixtures("everything")
def test_provider_that_is_there_and_fails_at_the_start_is_refused_or_told() -> None:
    broken = RuntimeError("libxrt_core.so: cannot open shared object file")
    with pytest.raises(ProviderMissing, match=f"{VITIS} must be used and does not start: libxrt_core.so"):
        open_session(ProviderSettings(preferred=(VITIS,), fallback="forbid"), Starts(broken))
    make = Starts(broken)
    opened = open_session(ProviderSettings(preferred=(VITIS,), fallback="allow"), make)
    assert opened.why == f"{VITIS} does not start: {broken}"
    assert make.asked[-1] == ([(CPU, {})], False)


@pytest.mark.usefixtures("everything")
def test_cpu_is_never_listed_where_it_must_not_stand_in_until_only_that_is_in_the_way() -> None:
    settings = ProviderSettings(preferred=(VITIS,), fallback="forbid", options={VITIS: {"cache_key": "a"}})
    left = RuntimeError("nodes assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled")
    make = Starts(left)
    open_session(settings, make)
    alone = [(VITIS, {"cache_key": "a"})]
    assert make.asked == [(alone, True), (alone, False)]


@pytest.mark.usefixtures("everything")
def test_cuda_is_asked_for_full_precision_unless_somebody_says_otherwise() -> None:
    make = Starts()
    open_session(ProviderSettings(preferred=(CUDA,), require=(CUDA,)), Starts(active=(CUDA, CPU)))
    open_session(ProviderSettings(preferred=(CUDA,), options={CUDA: {"use_tf32": "1", "device_id": "1"}}), make)
    [(name, options), (last, _)] = make.asked[0][0]
    assert (name, last, options["use_tf32"], options["device_id"]) == (CUDA, CPU, "1", "1")
    make = Starts()
    open_session(ProviderSettings(preferred=(CUDA,), fallback="forbid"), Starts(active=(CUDA,)))
    open_session(ProviderSettings(preferred=(CUDA,)), make)
    assert make.asked[0][0][0][1]["use_tf32"] == "0"


@pytest.mark.parametrize("said", ["CudaExecutionProvider", "VitisExecutionProvider"])
def test_misspelt_provider_is_told_the_right_name(package: VerifiedPackage, said: str) -> None:
    with pytest.raises(ProviderMissing) as caught:
        bring_up(package, asked(said, "forbid"))
    assert "did you mean" in caught.value.hint
    model, _, _ = bring_up(package, asked(said, "allow"))
    assert model.placement is not None
    assert "did you mean" in model.placement.in_words()


# --- what counts as computing


def node(name: str, operator: str, inputs: list[Any], outputs: list[Any], provider: str = CPU) -> dict[str, Any]:
    facts = {"op_name": operator, "provider": provider, "input_type_shape": inputs, "output_type_shape": outputs}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": facts}


def test_shapes_reckoned_on_the_cpu_are_no_fallback() -> None:
    events = [
        node("s", "Shape", [{"float": [5, 3, 8, 8]}], [{"int64": [4]}]),
        node("g", "Gather", [{"int64": [4]}, {"int64": []}], [{"int64": []}]),
        node("c", "Conv", [{"float": [5, 3, 8, 8]}], [{"float": [5, 8, 8, 8]}], VITIS),
        node("m", "MemcpyToHost", [{"float": [5, 8]}], [{"float": [5, 8]}]),
    ]
    found = placed(events, [VITIS])
    assert (dict(found.nodes), found.elsewhere, found.shapes) == ({VITIS: 1}, (), ("s", "g", "m"))
    assert not found.fell_back


@pytest.mark.parametrize(
    "event",
    [
        node("a", "ArgMax", [{"float": [5, 3]}], [{"int64": [5]}]),
        node("a", "Gather", [{"int64": [3]}, {"int64": [500]}], [{"int64": [500]}]),
        node("a", "Add", [{"float": [5]}, {"float": [5]}], [{"float": [5]}]),
    ],
)
def test_one_node_that_computes_on_the_cpu_is_a_fallback(event: dict[str, Any]) -> None:
    found = placed([node("c", "Conv", [], [{"float": [5]}], VITIS), event, event], [VITIS])
    assert found.elsewhere == (f"a ({event['args']['op_name']})",)
    assert found.fell_back
    assert found.providers == (VITIS, CPU)


def test_long_list_of_nodes_is_cut_and_counted() -> None:
    many = Placement((VITIS,), nodes={CPU: 12}, elsewhere=tuple(f"n{number} (Add)" for number in range(12)))
    assert "n9 (Add) and 2 more" in many.in_words()


# --- settings


@pytest.mark.parametrize(
    ("environment", "telling"),
    [
        ({"DRAY_FALLBACK": "forbid"}, "no provider is asked for"),
        ({"DRAY_FALLBACK": "maybe", "DRAY_PROVIDERS": VITIS}, "allowed: forbid, allow"),
        ({"DRAY_FALLBACK": "forbid", "DRAY_PROVIDERS": f"{VITIS},{CPU}"}, f"{CPU} is asked for"),
        ({"DRAY_FALLBACK": "allow", "DRAY_REQUIRE_PROVIDERS": VITIS}, "DRAY_REQUIRE_PROVIDERS is set"),
        ({"DRAY_PROVIDERS": VITIS, "DRAY_PROVIDER_OPTIONS": "{"}, "allowed: a JSON object"),
        ({"DRAY_PROVIDERS": VITIS, "DRAY_PROVIDER_OPTIONS": f'{{"{VITIS}": {{"a": [1]}}}}'}, "words, numbers"),
        ({"DRAY_PROVIDER_OPTIONS": f'{{"{VITIS}": {{}}}}'}, f"options of {VITIS}, which neither"),
    ],
)
def test_contract_that_cannot_be_meant_is_refused(environment: dict[str, str], telling: str) -> None:
    with pytest.raises(SettingInvalid, match=telling):
        read_settings(environment)


def test_options_of_providers_are_words() -> None:
    given = json.dumps({VITIS: {"config_file": "/c.json", "log": True, "cores": 2}})
    settings, warnings = read_settings({"DRAY_PROVIDERS": VITIS, "DRAY_PROVIDER_OPTIONS": given})
    assert settings.provider_options == {VITIS: {"config_file": "/c.json", "log": "true", "cores": "2"}}
    assert not warnings


# --- over HTTP


def test_every_report_says_that_the_cpu_stands_in(tmp_path: Path) -> None:
    root = make_package(tmp_path / "iris").root
    with running_server(root, log=tmp_path / "log", DRAY_PROVIDERS=VITIS, DRAY_FALLBACK="allow") as server:
        ready = httpx.get(f"{server.url}/readyz").json()["models"][0]
        metadata = httpx.get(f"{server.url}/v2/models/iris").json()["parameters"]
        metrics = httpx.get(f"{server.url}/metrics").text
    assert ready["provider"] == CPU
    assert ready["acceleration"] == metadata["acceleration"]
    assert metadata["providers"] == [CPU]
    assert metadata["acceleration"]["fell_back"] is True
    assert f'provider="{CPU}"' in metrics
    assert f'dray_provider_fallback{{asked="{VITIS}",model="iris",version="1"}} 1.0' in metrics


def test_server_whose_provider_is_absent_is_never_ready(tmp_path: Path) -> None:
    root = make_package(tmp_path / "iris").root
    asked_for = {"DRAY_PROVIDERS": VITIS, "DRAY_FALLBACK": "forbid"}
    with running_server(root, log=tmp_path / "log", until=("failed",), **asked_for) as server:
        answer = httpx.get(f"{server.url}/readyz")
    assert answer.status_code == 503
    assert answer.json()["models"][0]["error_code"] == "E-PROVIDER"
