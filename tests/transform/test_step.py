import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingRegressor

from packager import package
from packager.convert.judgement import Checks
from packager.core.conversion import ConversionResult, RawConversion
from packager.core.errors import ConversionTimeout, GateFailed, NothingToQuantize, ParityError, SampleError
from packager.core.progress import SilentProgress
from packager.documents import PackageDocument
from packager.transform import Wanted, latency, transform
from packager.transform.latency import Timings
from runtime.contract.certificate import Coverage
from tests.support.graphs import write_graph
from tests.support.models import iris, saved
from tests.support.nets import convolutions, digit_rows, digits_mlp, digits_model, embeddings, write_net
from tests.support.packages import conversion_of


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained network and rows of digits for it."""
    folder = tmp_path_factory.mktemp("net")
    digits_model(folder)
    digit_rows(folder / "rows.npz")
    return folder


def packaged(path: Path, out: Path, **options: Any) -> PackageDocument:
    # One row in a hundred more or less is the luck of the training, which other processors may have otherwise.
    gate = {"min_agreement": 0.97} if "quantize" in options else {}
    return package(path, out=out, name="m", version="1", **{**gate, **options})


def test_a_quantised_network_is_smaller_and_says_what_it_costs(net: Path, tmp_path: Path) -> None:
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8-static")

    record = made.transform
    assert record is not None
    assert record.after.name.startswith("int8-static")
    assert record.steps[0].startswith("int8-static: QDQ, weights of 7 bits")
    assert (record.after.size_bytes or 0) < 0.6 * (record.before.size_bytes or 0)
    assert record.before.agreement == 1
    assert 0.97 <= record.after.outputs["label"].agreement <= 1
    assert (record.after.max_abs_error or 0) > 1e-4
    assert set(record.after.latency_ms) == {"1", "64"}
    assert record.calibration is not None
    assert (record.calibration.origin, record.calibration.rows) == ("samples", 256)
    assert [variant.name for variant in record.tried] == ["int8-static-minmax", "int8-static-percentile"]


def test_parity_is_about_the_model_that_is_packaged(net: Path, tmp_path: Path) -> None:
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8-static")

    assert made.parity is not None
    assert made.transform is not None
    deviation = made.parity.conversion.outputs["probabilities"]
    assert deviation.max_abs_error == made.transform.after.outputs["probabilities"].max_abs_error
    assert not made.parity.conversion.passed


@pytest.mark.parametrize("quantize", ["int8-static", "fp16"])
def test_what_is_declared_is_twice_the_error_on_the_test_data(net: Path, tmp_path: Path, quantize: str) -> None:
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize=quantize)

    assert made.tolerances is not None
    assert set(made.tolerances) == {"probabilities"}
    held, record = made.tolerances["probabilities"], made.transform
    assert record is not None
    assert 1e-5 < held.atol <= 2.2 * (record.after.max_abs_error or 0)
    assert held.rms is not None
    assert 0 < held.rms <= held.atol
    assert json.loads((tmp_path / "p/manifest.json").read_bytes())["tolerances"] == {
        "probabilities": {"atol": held.atol, "rtol": held.rtol, "rms": held.rms}
    }


def test_test_data_stay_the_answers_of_the_source(net: Path, tmp_path: Path) -> None:
    packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8-dynamic")

    def tensor(name: str) -> np.ndarray:
        read = onnx.load_tensor(tmp_path / "p" / "test_data_set_2" / name)
        return np.asarray(onnx.numpy_helper.to_array(read))

    session = onnx.reference.ReferenceEvaluator(str(net / "digits.onnx"))
    label, probabilities = session.run(None, {"X": tensor("input_0.pb")})
    assert len(label) == 64
    np.testing.assert_array_equal(tensor("output_0.pb"), label)
    np.testing.assert_allclose(tensor("output_1.pb"), probabilities, atol=1e-5)


def test_dynamic_ranges_are_never_batched_across_requests(net: Path, tmp_path: Path) -> None:
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8-dynamic")

    assert not made.batch_safety.batchable
    assert "with int8-dynamic a row's answer depends on the rows beside it, so requests are never batched" in made.notes


def test_synthetic_calibration_is_called_weak(net: Path, tmp_path: Path) -> None:
    made = packaged(net / "digits.onnx", tmp_path / "p", quantize="int8-static", min_agreement=0.5)

    assert made.transform is not None
    assert made.transform.calibration is not None
    assert (made.transform.calibration.origin, made.transform.calibration.weak) == ("synthetic", True)
    assert any("the ranges of the integers come from synthetic rows" in note for note in made.notes)


def test_a_calibration_file_sets_the_ranges(net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.load(net / "rows.npz")["X"][:20])
    made = packaged(
        net / "digits.onnx",
        tmp_path / "p",
        samples=net / "rows.npz",
        quantize="int8-static",
        calibration=tmp_path / "few.npy",
        min_agreement=0.9,
    )
    assert made.transform is not None
    assert made.transform.calibration is not None
    assert made.transform.calibration.model_dump() == {"rows": 20, "origin": "calibration-file", "weak": False}


def test_a_calibration_file_may_be_a_table(net: Path, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "rows.csv", np.load(net / "rows.npz")["X"][:30], delimiter=",")
    made = packaged(
        net / "digits.onnx",
        tmp_path / "p",
        samples=net / "rows.npz",
        quantize="int8-static",
        calibration=tmp_path / "rows.csv",
        min_agreement=0.9,
    )
    assert made.transform is not None
    assert made.transform.calibration is not None
    assert made.transform.calibration.rows == 30


def test_calibration_rows_of_another_width_are_refused(net: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "narrow.npy", np.zeros((4, 7), np.float32))
    with pytest.raises(SampleError, match=r"have the shape \[4, 7\] for 'X', which takes \['batch', 64\]"):
        packaged(net / "digits.onnx", tmp_path / "p", quantize="int8", calibration=tmp_path / "narrow.npy")


def test_a_gate_that_is_not_passed_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "net.onnx")
    with pytest.raises(GateFailed) as caught:
        packaged(source, tmp_path / "p", quantize="int8-dynamic", min_agreement=1.0)

    error = caught.value
    assert error.code == "E-GATE"
    assert "int8-dynamic: agreement of 'logits' is 0.99" in error.message
    assert "(variance), below 1" in error.message
    assert "int8-dynamic-8bit" in error.message  # what is of 7 bits failed, so 8 bits were tried
    assert error.message.endswith("the model before agrees in 1.0000")
    assert "--min-agreement" in error.hint
    assert error.detail["before"]["outputs"]["logits"]["agreement"] == 1
    assert not (tmp_path / "p").exists()


def timed_as(factors: Mapping[str, float]) -> Any:
    """A clock by which every form takes so many times what the original does."""

    def measure(models: Mapping[str, Path], calls: Mapping[str, Any]) -> Timings:
        times = {name: dict.fromkeys(calls, factors.get(name, 1.0)) for name in models}
        return Timings(times, "a clock of the test")

    return measure


def test_int8_takes_the_fastest_form(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = timed_as({"int8-dynamic": 0.6, "int8-static-minmax": 0.3, "int8-static-percentile": 2.0})
    monkeypatch.setattr(latency, "measure", clock)
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8")

    assert made.transform is not None
    assert made.transform.after.name == "int8-static-minmax"
    verdicts = {variant.name: variant.reason for variant in made.transform.tried}
    assert verdicts["int8-static-percentile"] == "slower: 2.00 times the original's latency"


def test_int8_is_refused_where_every_form_is_slower(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("int8-dynamic", "int8-static-minmax", "int8-static-percentile")
    monkeypatch.setattr(latency, "measure", timed_as(dict.fromkeys(names, 1.5)))
    with pytest.raises(GateFailed, match=r"no int8 form of the model is worth packaging") as caught:
        packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="int8")
    assert "ask for a form by name for its size" in caught.value.hint


def test_a_slower_form_is_taken_when_it_is_asked_for_and_said_to_be_slower(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "measure", timed_as({"fp16": 1.5}))
    made = packaged(net / "digits.onnx", tmp_path / "p", samples=net / "rows.npz", quantize="fp16")
    assert "fp16 takes 1.50 times as long as the original here; it was asked for by name" in made.notes


def test_optimising_keeps_the_ordinary_tolerance(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "net.onnx")
    made = packaged(source, tmp_path / "p", optimize=True)

    record = made.transform
    assert record is not None
    assert record.lossless
    assert made.tolerances is None
    assert (record.after.nodes or 0) < (record.before.nodes or 0)  # the batch normalisation is folded
    assert made.parity is not None
    assert made.parity.conversion.passed
    assert made.batch_safety.batchable
    assert {variant.name for variant in record.tried} == {"basic", "slim", "extended"}


def test_a_graph_with_nothing_to_gain_is_packaged_as_converted(tmp_path: Path) -> None:
    shape = ("x", TensorProto.FLOAT, ["batch", 2])
    source = write_graph(
        tmp_path / "m.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], [shape], [("y", *shape[1:])]
    )
    plain, made = packaged(source, tmp_path / "a"), packaged(source, tmp_path / "b", optimize=True)

    assert made.transform is not None
    assert (made.transform.steps, made.transform.after.name) == ((), "original")
    assert made.digest == plain.digest


def test_optimising_and_quantising_go_one_after_the_other(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "net.onnx")
    rows = digit_rows(tmp_path / "rows.npz", name="x", pictures=True)
    made = packaged(source, tmp_path / "p", optimize=True, quantize="int8-static", samples=rows, min_agreement=0.9)

    assert made.transform is not None
    assert [step.partition(":")[0] for step in made.transform.steps][-1] == "int8-static"
    assert len(made.transform.steps) == 2


@pytest.mark.parametrize("quantize", ["int8-static", "int8-dynamic", "fp16"])
def test_words_as_labels_stay_words(quantize: str, tmp_path: Path) -> None:
    source = digits_model(tmp_path, texts=True)
    made = packaged(source, tmp_path / "p", samples=digit_rows(tmp_path / "r.npz"), quantize=quantize)

    assert made.transform is not None
    assert made.transform.after.outputs["label"].measures["labels"] >= 0.97


@pytest.mark.parametrize("quantize", ["int8-dynamic", "int8-static", "fp16"])
def test_whole_numbers_go_in_and_embeddings_come_out(quantize: str, tmp_path: Path) -> None:
    made = packaged(embeddings(tmp_path / "m.onnx"), tmp_path / "p", quantize=quantize, min_agreement=0.98)

    assert made.transform is not None
    output = made.transform.after.outputs["vector"]
    assert set(output.measures) == {"cosine"}
    assert output.worst_cosine is not None
    assert output.worst_cosine > 0.9


def test_a_network_that_computes_in_doubles_is_refused_by_name(tmp_path: Path) -> None:
    model = saved(digits_mlp(), tmp_path)
    rows = np.load(digit_rows(tmp_path / "r.npz"))["X"].astype(np.float64)

    with pytest.raises(NothingToQuantize, match=r"are FP64 \(MatMul\)") as caught:
        packaged(model, tmp_path / "p", samples=rows, quantize="int8-static")

    assert "without --quantize" in caught.value.hint
    assert not (tmp_path / "p").exists()


def test_trees_have_nothing_to_quantise(tmp_path: Path) -> None:
    trees = HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(*iris())
    with pytest.raises(NothingToQuantize, match=r"nothing in this model can be quantised: .* computes with "):
        packaged(saved(trees, tmp_path), tmp_path / "p", quantize="int8")
    assert not (tmp_path / "p").exists()


def doubles(folder: Path) -> Path:
    weights = {"w": np.random.default_rng(0).normal(size=(8, 3))}
    shape = ("x", TensorProto.DOUBLE, ["batch", 8])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return write_net(folder / "m.onnx", nodes, [shape], [("y", TensorProto.DOUBLE, ["batch", 3])], weights)


@pytest.mark.parametrize("quantize", ["int8", "fp16"])
def test_doubles_are_refused_by_name(quantize: str, tmp_path: Path) -> None:
    with pytest.raises(NothingToQuantize, match=r"the weights of this model are FP64 \(MatMul\)"):
        packaged(doubles(tmp_path), tmp_path / "p", quantize=quantize)


def recurrent(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=shape).astype(np.float32) / 4
               for name, shape in (("wi", (1, 64, 8)), ("wr", (1, 64, 16)), ("b", (1, 128)))}  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "wi", "wr", "b"], ["", "h"], hidden_size=16),
        helper.make_node("Squeeze", ["h", "axes"], ["y"]),
    ]
    return write_net(
        folder / "m.onnx", nodes, [("x", TensorProto.FLOAT, ["batch", "steps", 8])],
        [("y", TensorProto.FLOAT, ["batch", 16])], {**weights, "axes": np.array([0])},
    )  # fmt: skip


def test_a_form_in_which_nothing_was_quantised_is_none(tmp_path: Path) -> None:
    with pytest.raises(GateFailed, match="int8-static-minmax: nothing in it could be quantised this way"):
        packaged(recurrent(tmp_path), tmp_path / "p", quantize="int8-static")
    assert packaged(recurrent(tmp_path), tmp_path / "p", quantize="int8-dynamic").transform


def test_a_fixed_number_of_rows_stays_fixed(tmp_path: Path) -> None:
    weights = {"w": np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [("label", TensorProto.INT64, [4]), ("y", TensorProto.FLOAT, [4, 5])]
    source = write_net(tmp_path / "m.onnx", nodes, [("x", TensorProto.FLOAT, [4, 16])], outputs, weights)
    made = packaged(source, tmp_path / "p", quantize="int8-static", min_agreement=0.9)

    assert made.signature.inputs[0].shape == (4, 16)
    assert made.transform is not None
    assert set(made.transform.after.latency_ms) == {"4"}


def test_weights_beside_the_model_are_taken_along(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "net.onnx")
    onnx.save_model(
        onnx.load(source), tmp_path / "two.onnx", save_as_external_data=True, location="two.data", size_threshold=0
    )
    made = packaged(tmp_path / "two.onnx", tmp_path / "p", optimize=True)

    assert made.transform is not None
    assert all(variant.accepted for variant in made.transform.tried)
    assert not (tmp_path / "p/two.data").exists()


def test_an_optimised_form_that_answers_differently_is_refused(tmp_path: Path) -> None:
    source = convolutions(tmp_path / "net.onnx")
    answers = {"logits": np.zeros((64, 10), np.float32)}
    np.savez(tmp_path / "expected.npz", **answers)
    rows = digit_rows(tmp_path / "r.npz", name="x", pictures=True, count=64)
    with pytest.raises(ParityError):
        packaged(source, tmp_path / "p", optimize=True, samples=rows, expected=tmp_path / "expected.npz")


def test_known_class_names_make_scores_of_numbers(tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"digit {number}" for number in range(10)))
    made = packaged(convolutions(tmp_path / "net.onnx"), tmp_path / "p", quantize="fp16", labels=names)

    assert made.transform is not None
    assert set(made.transform.after.outputs["logits"].measures) == {"classes"}


@contextmanager
def without_a_source(source: Path, folder: Path) -> Iterator[ConversionResult]:
    """A conversion whose framework nobody could ask."""
    rows = np.random.default_rng(0).normal(size=(32, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "samples.npz", x=rows)
    with conversion_of(onnx.load(source), inputs={"x": rows}) as result:
        raw = RawConversion(
            onnx=source,
            samples=folder / "samples.npz",
            reference="none",
            reference_original=None,
            reference_cast=None,
            framework="torch",
            framework_version="2",
            synthetic=True,
            seed=0,
            coverage=Coverage(),
        )
        yield replace(result, raw=raw, reference="none", parity=None)


@pytest.mark.parametrize("wanted", [Wanted(optimize=True), Wanted(quantize="int8-static")])
def test_without_a_source_the_conversion_itself_is_what_forms_are_held_to(wanted: Wanted, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    checks = Checks(atol=1e-5, rtol=1e-4, seed=0)
    with without_a_source(convolutions(tmp_path / "net.onnx"), tmp_path) as result:
        made = transform(
            result, wanted, checks=checks, workdir=tmp_path / "work", progress=SilentProgress(), timeout_s=60
        )
    assert (made.reference, made.parity) == ("none", None)
    assert made.transform is not None
    assert made.transform.after.name != "original"
    assert made.transform.after.agreement >= 0.99
    if wanted.optimize:
        assert made.test_cases == result.test_cases


def test_the_time_that_was_given_is_kept(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    checks = Checks(atol=1e-5, rtol=1e-4, seed=0)
    with (
        without_a_source(convolutions(tmp_path / "net.onnx"), tmp_path) as result,
        pytest.raises(ConversionTimeout, match="the time is up before basic was tried"),
    ):
        transform(
            result,
            Wanted(optimize=True),
            checks=checks,
            workdir=tmp_path / "work",
            progress=SilentProgress(),
            timeout_s=-1,
        )
