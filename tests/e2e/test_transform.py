import json
from pathlib import Path

import pytest

from tests.support.command import dray
from tests.support.nets import convolutions, digit_rows, digits_model

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("net")
    digit_rows(folder / "rows.npz")
    return digits_model(folder)


def test_a_quantised_model_is_shipped_and_inspect_tells_what_was_tried(net: Path) -> None:
    rows = net.parent / "rows.npz"
    run = dray("ship", net, "-t", "local", "--samples", rows, "--quantize", "int8-static", "-o", "json", cwd=net.parent)
    assert run.status == 0, run.err
    assert run.document["smoke"]["passed"]
    package = run.document["package"]
    assert dray("delete", "digits", "--yes").status == 0

    text = dray("inspect", package).out
    for line in ("transformed  int8-static: QDQ", "LOSSY", "agreement    label: labels ", "held to      probabilities"):
        assert line in text
    assert "tried        int8-static-minmax: agreement" in text
    record = json.loads(dray("inspect", package, "-o", "json").out)["certificate"]["transform"]
    assert record["before"]["name"] == "original"
    assert record["after"]["latency_ms"].keys() == {"1", "64"}


def test_a_gate_that_is_not_passed_is_exit_6_and_stdout_holds_one_document(tmp_path: Path) -> None:
    net = convolutions(tmp_path / "net.onnx")
    run = dray("package", net, "--quantize", "int8-static", "--min-agreement", "1", "-o", "json", cwd=tmp_path)

    assert run.status == 6
    assert run.document["error"]["code"] == "E-GATE"
    assert run.document["error"]["detail"]["min_agreement"] == 1


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        (["--quantize", "int4"], 2, "E-USAGE"),
        (["--min-agreement", "0.9"], 2, "E-USAGE"),
        (["--quantize", "int8", "--calibration", "none.npy"], 3, "E-SAMPLES"),
    ],
)
def test_what_cannot_be_meant_is_refused(net: Path, options: list[str], status: int, code: str) -> None:
    run = dray("package", net, *options, "-o", "json", cwd=net.parent)
    assert (run.status, run.document["error"]["code"]) == (status, code)


def test_plan_of_a_model_takes_the_same_options(net: Path) -> None:
    run = dray("plan", net, "-t", "local", "--optimize", "-o", "json", cwd=net.parent)
    assert run.status == 0, run.err
    assert run.document["actions"]
