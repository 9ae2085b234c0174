import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto

from runtime.contract.manifest import ModelManifest
from runtime.contract.package import read_package
from runtime.sampling import MOST_BYTES, Samples, open_samples
from runtime.settings import SettingInvalid, read_settings
from tests.runtime.test_metrics import samples as metric_samples
from tests.support.packages import identity_model, make_package
from tests.support.servers import infer_body, run_to_end, running_server
from tests.support.slow_model import slow_model

ROW = [5.1, 3.5, 1.4, 0.2]
PATHS = pytest.mark.parametrize("fast", ["1", "0"], ids=["fast path", "FastAPI"])


@pytest.fixture(scope="module")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_package(tmp_path_factory.mktemp("iris") / "iris").root


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def take(samples: Samples, manifest: ModelManifest, values: np.ndarray, *, request_id: str = "q") -> None:
    samples.take(
        manifest, digest="d", dialect="v2", request_id=request_id, inputs={"X": values}, outputs={"label": values[:1]}
    )


@pytest.fixture
def manifest(iris: Path) -> ModelManifest:
    return read_package(iris).manifest


# --- over HTTP


@PATHS
def test_every_answered_request_is_a_line_and_no_other(iris: Path, tmp_path: Path, fast: str) -> None:
    file = tmp_path / "samples.jsonl"
    settings = {"DRAY_FAST_PATH": fast, "DRAY_SAMPLE_RATE": "1", "DRAY_SAMPLE_FILE": str(file)}
    asked = {
        "/v2/models/iris/infer": infer_body([ROW]), "/v1/models/iris:predict": {"instances": [ROW]},
        "/score": {"data": [ROW, ROW]}, "/invocations": {"inputs": [ROW]},
    }  # fmt: skip
    with running_server(iris, log=tmp_path / "log", **settings) as server:
        answers = [
            httpx.post(server.url + path, json=body, headers={"x-request-id": path}).json()
            for path, body in asked.items()
        ]
        httpx.post(f"{server.url}/score", json={"data": [ROW[:2]]})  # refused
        digest = server.readiness()["models"][0]["digest"]
        assert server.terminate() == 0
    found = lines(file)
    assert [(line["dialect"], line["request_id"]) for line in found] == list(
        zip(("v2", "v1", "azureml", "mlflow"), asked, strict=True)
    )
    assert {(line["model"], line["version"], line["digest"]) for line in found} == {("iris", "1", digest)}
    inputs = [line["inputs"]["X"] for line in found]
    assert inputs[0] == {"datatype": "FP32", "shape": [1, 4], "data": pytest.approx(ROW)}
    assert inputs[2] == {"datatype": "FP32", "shape": [2, 4], "data": pytest.approx(ROW * 2)}
    named = {each["name"]: each for each in answers[0]["outputs"]}
    assert found[0]["outputs"]["probabilities"]["data"] == named["probabilities"]["data"]
    assert found[2]["outputs"]["label"] == {
        "datatype": "INT64", "shape": [2], "data": [each["label"] for each in answers[2]["result"]],
    }  # fmt: skip


def test_requests_that_share_a_run_are_samples_of_their_own(iris: Path, tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    settings = {"DRAY_SAMPLE_RATE": "1", "DRAY_SAMPLE_FILE": str(file), "DRAY_MAX_DELAY_US": "2000"}
    with running_server(iris, log=tmp_path / "log", **settings) as server:
        given = {f"q{at}": [float(at)] * 4 for at in range(16)}

        def ask(name: str) -> None:
            httpx.post(f"{server.url}/score", json={"data": [given[name]]}, headers={"x-request-id": name})

        threads = [threading.Thread(target=ask, args=(name,)) for name in given]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.terminate() == 0
    assert {line["request_id"]: line["inputs"]["X"]["data"] for line in lines(file)} == given


@PATHS
def test_models_in_threads_are_sampled_to_standard_output(tmp_path: Path, fast: str) -> None:
    package = make_package(
        tmp_path / "slow", slow_model(), name="slow", inputs={"x": np.full((5, 2), 20, "f4")}
    ).root  # fmt: skip
    with (
        (tmp_path / "out").open("wb") as out,
        running_server(package, log=tmp_path / "log", out=out, DRAY_FAST_PATH=fast, DRAY_SAMPLE_RATE="1") as server,
    ):
        assert httpx.post(f"{server.url}/score", json={"data": [[2, 1]]}).status_code == 200
        assert server.terminate() == 0
    (line,) = lines(tmp_path / "out")
    assert line["outputs"]["y"]["data"] == line["inputs"]["x"]["data"] == [2.0, 1.0]


@PATHS
def test_a_full_disk_is_told_of_once_counted_and_harms_nobody(iris: Path, tmp_path: Path, fast: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    settings = {"DRAY_FAST_PATH": fast, "DRAY_SAMPLE_RATE": "1", "DRAY_SAMPLE_FILE": "/dev/full"}
    with running_server(iris, log=tmp_path / "log", **settings) as server:
        for _ in range(3):
            assert httpx.post(f"{server.url}/score", json={"data": [ROW]}).status_code == 200
            time.sleep(0.1)
        found = metric_samples(httpx.get(f"{server.url}/metrics").text)
    assert found["dray_samples_total", (("outcome", "dropped"),)] == 3
    assert found["dray_samples_total", (("outcome", "written"),)] == 0
    assert server.stderr().count("samples are lost: '/dev/full' takes none (no space left on device)") == 1


def test_a_file_that_cannot_be_opened_stops_the_start(iris: Path, tmp_path: Path) -> None:
    settings = {"DRAY_SAMPLE_RATE": "0.5", "DRAY_SAMPLE_FILE": str(tmp_path / "nowhere" / "f"), "DRAY_PORT": "0"}
    finished = run_to_end(iris, **settings)

    assert finished.returncode == 2
    assert finished.stderr.startswith("E-SETTING DRAY_SAMPLE_FILE is '")
    assert "cannot be opened for appending: no such file or directory" in finished.stderr


# --- what a line says


def test_a_tensor_that_is_too_large_is_left_out_by_name(manifest: ModelManifest, tmp_path: Path) -> None:
    samples = open_samples(1, tmp_path / "f")
    assert samples is not None
    take(samples, manifest, np.zeros((1, MOST_BYTES // 4 + 1), "f4"))
    take(samples, manifest, np.array([["x" * MOST_BYTES]], dtype=object))
    samples.close()

    large, text = lines(tmp_path / "f")
    assert large["inputs"]["X"] == {
        "datatype": "FP32", "omitted": "[1, 16385] values of 65540 bytes, and a sample holds 65536 bytes",
    }  # fmt: skip
    assert "omitted" in text["inputs"]["X"]


def test_what_json_has_no_word_for_is_written_all_the_same(manifest: ModelManifest, tmp_path: Path) -> None:
    samples = open_samples(1, tmp_path / "f")
    assert samples is not None
    for values in (
        np.array([1, np.nan], "f4"), np.array([np.inf, -np.inf, 2], "f8"), np.array([0.5], "f2"),
        np.array(["é", b"a\xff"], dtype=object), np.array([True]), np.array([2**63], "u8"),
    ):  # fmt: skip
        take(samples, manifest, values)
    samples.close()

    assert [line["inputs"]["X"]["data"] for line in lines(tmp_path / "f")] == [
        [1.0, None], ["Infinity", "-Infinity", 2.0], [0.5], ["é", "a�"], [True], [2**63],
    ]  # fmt: skip


def test_a_sample_does_not_change_with_the_buffer_that_it_was_taken_from(
    manifest: ModelManifest, tmp_path: Path
) -> None:
    samples, values = open_samples(1, tmp_path / "f"), np.array([[1.0, 2.0]], "f4")
    assert samples is not None
    take(samples, manifest, values)
    values[:] = 9
    samples.close()

    assert lines(tmp_path / "f")[0]["inputs"]["X"]["data"] == [1.0, 2.0]


# --- the writer


def test_what_the_writer_cannot_keep_up_with_is_dropped_and_counted(manifest: ModelManifest) -> None:
    reading, writing = os.pipe()
    samples, values = Samples(1, "a pipe", _descriptor=writing), np.zeros((1, MOST_BYTES // 8), "f4")
    slowest = 0.0
    for _ in range(1200):  # 38 MB, and nobody reads
        began = time.perf_counter()
        take(samples, manifest, values)
        slowest = max(slowest, time.perf_counter() - began)
    assert samples.dropped > 500
    assert slowest < 0.5
    os.close(reading)
    samples.close()
    os.close(writing)


def test_lines_of_several_writers_stay_whole(manifest: ModelManifest, tmp_path: Path) -> None:
    writers = [open_samples(1, tmp_path / "f") for _ in range(3)]
    for at in range(300):
        for number, each in enumerate(writers):
            assert each is not None
            take(each, manifest, np.full((1, 400), at, "f4"), request_id=f"{number}")
    for each in writers:
        assert each is not None
        each.close()
        assert (each.written, each.dropped) == (300, 0)
    assert len(lines(tmp_path / "f")) == 900


def test_half_a_line_spoils_no_other(manifest: ModelManifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = open_samples(1, tmp_path / "f")
    assert samples is not None
    real, full = os.write, True

    def write(descriptor: int, content: Any) -> int:
        if not full:
            return real(descriptor, content)
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return real(descriptor, bytes(content)[:-50])

    monkeypatch.setattr(os, "write", write)
    samples._write([b'{"a": 1}\n', b'{"b": "' + b"x" * 100 + b'"}\n'])
    full = False
    samples._write([b'{"c": 3}\n'])

    kept = (tmp_path / "f").read_text().splitlines()
    assert (json.loads(kept[0]), json.loads(kept[2])) == ({"a": 1}, {"c": 3})
    assert (samples.written, samples.dropped) == (2, 1)


def test_a_share_is_drawn() -> None:
    samples = Samples(0.25)
    assert 700 < sum(samples.drawn() for _ in range(4000)) < 1300
    assert open_samples(0, Path("/nowhere/f")) is None


def test_the_share_is_from_0_to_1() -> None:
    assert read_settings({"DRAY_SAMPLE_RATE": "0.25", "DRAY_SAMPLE_FILE": "/a/b"})[0].sample_file == Path("/a/b")
    with pytest.raises(SettingInvalid) as caught:
        read_settings({"DRAY_SAMPLE_RATE": "1.5"})
    assert caught.value.message == "DRAY_SAMPLE_RATE is '1.5', allowed: a number from 0 to 1"


def test_times_are_in_utc_to_the_millisecond(manifest: ModelManifest, tmp_path: Path) -> None:
    samples = open_samples(1, tmp_path / "f")
    assert samples is not None
    take(samples, manifest, np.zeros((1, 4), "f4"))
    samples.close()
    (line,) = lines(tmp_path / "f")
    assert line["time"][:10] == time.strftime("%Y-%m-%d", time.gmtime())
    assert line["time"][-5] == "."
    assert line["time"].endswith("Z")


def test_large_binary_tensors_go_through_and_their_sample_says_that_they_are_left_out(tmp_path: Path) -> None:
    image = np.zeros((1, 40_000), "f4")
    package = make_package(
        tmp_path / "id", identity_model(TensorProto.FLOAT, ("batch", 40_000)), name="id", inputs={"x": image}
    ).root
    file = tmp_path / "samples.jsonl"
    head = {"inputs": [{"name": "x", "shape": [1, 40_000], "datatype": "FP32",
                        "parameters": {"binary_data_size": image.nbytes}}]}  # fmt: skip
    text = json.dumps(head).encode()
    with running_server(
        package, log=tmp_path / "log", DRAY_SAMPLE_RATE="1", DRAY_SAMPLE_FILE=str(file)
    ) as server:  # fmt: skip
        headers = {"inference-header-content-length": str(len(text))}
        answer = httpx.post(f"{server.url}/v2/models/id/infer", content=text + image.tobytes(), headers=headers)
        assert answer.status_code == 200
        assert server.terminate() == 0
    (line,) = lines(file)
    assert set(line["inputs"]["x"]) == set(line["outputs"]["y"]) == {"datatype", "omitted"}
