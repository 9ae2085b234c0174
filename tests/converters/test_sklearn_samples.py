import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from packager.core.conversion import InputHint, RawConversion
from packager.core.errors import EnvironmentMissing, SampleError
from tests.support.models import (
    IRIS_COLUMNS,
    breast_cancer_pipeline,
    iris,
    iris_frame,
    linear_regression,
    named_pipeline,
)

Convert = Callable[..., RawConversion]
ROWS = iris()[0][::10]
FRAME = iris_frame().iloc[::10].reset_index(drop=True)


def matrix(raw: RawConversion) -> np.ndarray:
    with np.load(raw.samples) as archive:
        return archive[archive.files[0]]


def refused(convert: Convert, model: Any, samples: Path) -> SampleError:
    with pytest.raises(SampleError) as caught:
        convert(model, samples)
    assert caught.value.code == "E-SAMPLES"
    assert caught.value.hint
    return caught.value


WRITERS: dict[str, Callable[[Path], Any]] = {
    "s.npz": lambda path: np.savez(path, X=ROWS),
    "s.npy": lambda path: np.save(path, ROWS),
    "s.csv": lambda path: FRAME.to_csv(path, index=False),
    "s.parquet": FRAME.to_parquet,
    "records.json": lambda path: path.write_text(FRAME.to_json(orient="records", double_precision=15)),
    "rows.json": lambda path: path.write_text(json.dumps(ROWS.tolist())),
    "named.json": lambda path: path.write_text(json.dumps({"X": ROWS.tolist()})),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name: str, convert: Convert, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    raw = convert(named_pipeline(), tmp_path / name)
    assert np.array_equal(matrix(raw), ROWS)
    assert not raw.synthetic
    assert raw.seed is None


def test_the_only_array_names_the_input(convert: Convert, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", features=np.ones((2, 30)))
    raw = convert(breast_cancer_pipeline(), tmp_path / "s.npz")
    with np.load(raw.samples) as archive:
        assert archive.files == ["features"]


def test_columns_are_taken_by_name_and_others_left_out_with_a_note(convert: Convert, tmp_path: Path) -> None:
    FRAME[FRAME.columns[::-1]].assign(target=1).to_csv(tmp_path / "s.csv", index=False)
    raw = convert(named_pipeline(), tmp_path / "s.csv")
    assert np.array_equal(matrix(raw), ROWS)
    assert any("'target' is not an input of the model" in note for note in raw.notes)


def test_a_csv_without_header_is_taken_by_position(convert: Convert, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "s.csv", index=False, header=False)
    assert np.array_equal(matrix(convert(named_pipeline(), tmp_path / "s.csv")), ROWS)


def test_a_csv_for_a_model_without_names_is_taken_by_position(convert: Convert, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("p,q\n1,2\n3,4.5\n")
    assert matrix(convert(linear_regression(), tmp_path / "s.csv")).tolist() == [[1.0, 2.0], [3.0, 4.5]]


def test_missing_columns_are_named(convert: Convert, tmp_path: Path) -> None:
    FRAME.drop(columns=["petal_length", "petal_width"]).to_csv(tmp_path / "s.csv", index=False)
    error = refused(convert, named_pipeline(), tmp_path / "s.csv")
    assert error.message == ("the samples 's.csv' lack 'petal_length', 'petal_width', which the model was trained with")
    assert error.detail["missing"] == ["petal_length", "petal_width"]


@pytest.mark.parametrize("name", ["s.npy", "s.csv"])
def test_another_number_of_columns_is_refused(name: str, convert: Convert, tmp_path: Path) -> None:
    wide = np.ones((2, 3))
    np.save(tmp_path / name, wide) if name == "s.npy" else np.savetxt(tmp_path / name, wide, delimiter=",")
    error = refused(convert, linear_regression(), tmp_path / name)
    assert error.message.startswith(
        f"the samples {name!r} have 3 columns, the model takes 2 (is the target among them?)"
    )


def test_text_in_a_numeric_column_is_refused(convert: Convert, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("p,q\n1,2\n3,four\n")
    error = refused(convert, linear_regression(), tmp_path / "s.csv")
    assert error.message == "column 1 of the samples 's.csv' holds 'four', the model takes numbers"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_the_model_refuses_is_named_with_its_column(
    value: float, convert: Convert, tmp_path: Path
) -> None:
    FRAME.assign(sepal_width=value).to_csv(tmp_path / "s.csv", index=False, na_rep="nan")
    error = refused(convert, named_pipeline(), tmp_path / "s.csv")
    assert "in column 'sepal_width', row 0, which the model refuses: Input X contains" in error.message


def test_a_value_beyond_float32_is_named(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([[1.0, 1e300]]))
    assert (
        "column 1 of the samples 's.npy' holds 1e+300 in row 0"
        in refused(convert, linear_regression(), tmp_path / "s.npy").message
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.csv", "", "the samples file 's.csv' is empty"),
        ("s.csv", "p,q\n", "the samples 's.csv' hold no rows"),
        ("s.json", "[]", "the samples 's.json' hold nothing"),
        ("s.json", "{", "cannot read the samples 's.json'"),
        ("s.json", "[[1, 2], [3]]", "the rows of the list differ in length"),
        ("s.npy", "numbers", "cannot read the samples 's.npy'"),
        ("s.npz", "numbers", "cannot read the samples 's.npz'"),
        ("s.parquet", "numbers", "cannot read the samples 's.parquet'"),
        ("s.xlsx", "numbers", "samples in '.xlsx' cannot be read"),
    ],
)
def test_files_that_hold_no_samples_are_refused(
    name: str, content: str, message: str, convert: Convert, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    assert refused(convert, linear_regression(), tmp_path / name).message.startswith(message)


def test_samples_that_are_not_there_are_refused(convert: Convert, tmp_path: Path) -> None:
    assert refused(convert, linear_regression(), tmp_path / "s.csv").message.startswith("no samples file at ")


def test_a_single_row_without_brackets_is_refused(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([1.0, 2.0]))
    error = refused(convert, linear_regression(), tmp_path / "s.npy")
    assert (error.message, error.hint) == (
        "the samples 's.npy' have the shape [2], expected [rows, 2]",
        "a single row is written as [[...]]",
    )


def test_pickled_samples_are_not_loaded(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([[{}, 1]]), allow_pickle=True)
    assert "dtype=str" in refused(convert, linear_regression(), tmp_path / "s.npy").hint


def test_parquet_without_its_reader_says_what_to_install(
    convert: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FRAME.to_parquet(tmp_path / "s.parquet")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentMissing, match="needs pyarrow, not installed here") as caught:
        convert(named_pipeline(), tmp_path / "s.parquet")
    assert caught.value.hint == 'pip install "dray[parquet]"'


def test_the_reference_is_asked_about_the_original_values(convert: Convert, tmp_path: Path) -> None:
    rows = np.array([[16_777_217.0, 0.1]])  # neither is a float32
    np.save(tmp_path / "s.npy", rows)
    model = linear_regression()
    raw = convert(model, tmp_path / "s.npy", inputs=(InputHint("X", "FP32", ("N", 2)),))
    assert raw.reference_original is not None
    assert raw.reference_cast is not None
    with np.load(raw.reference_original) as original, np.load(raw.reference_cast) as cast:
        assert original["prediction"] == model.predict(rows)
        assert cast["prediction"] == model.predict(rows.astype(np.float32).astype(np.float64))


def test_whole_numbers_stay_whole_numbers(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.arange(6).reshape(3, 2))
    assert matrix(convert(linear_regression(), tmp_path / "s.npy")).dtype == np.int64


def test_many_rows_are_thinned_with_a_note(convert: Convert, tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.ones((30_000, 2)))
    raw = convert(linear_regression(), tmp_path / "s.npy")
    assert len(matrix(raw)) == 20_000
    assert "20000 of 30000 samples were used, evenly spaced" in raw.notes


def test_names_that_are_numbers_are_still_a_header(convert: Convert, tmp_path: Path) -> None:
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(pd.DataFrame({"0": [1.0, 2, 3], "1": [0.0, 1, 0]}), [1, 2, 3])
    (tmp_path / "s.csv").write_text("1,0\n5,6\n")
    assert matrix(convert(model, tmp_path / "s.csv")).tolist() == [[6.0, 5.0]]


def test_columns_of_the_frame_are_recorded(convert: Convert) -> None:
    assert convert(named_pipeline()).columns == {"X": tuple(IRIS_COLUMNS)}
