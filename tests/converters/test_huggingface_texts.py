"""Texts of the user's, in the forms that they come in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from packager.converters.huggingface.texts import MOST_ROWS, Texts, texts_for, wants_pairs
from packager.core.conversion import ConversionRequest, InputHint
from packager.core.errors import SampleError, UsageError

ROWS = ["good", "", "ünï, 狐 😀", "01234", "NA"]


def read(samples: Path, *, pairs: bool = False) -> Texts:
    request = ConversionRequest(source=Path("m"), workdir=Path("w"), samples=samples)
    return texts_for(request, None, pairs=pairs, longest=8)


def written(folder: Path, kind: str, rows: list[str], column: str = "text") -> Path:
    path = folder / f"rows.{kind}"
    if kind == "npz":
        np.savez(path, **{column: np.array(rows)})
    elif kind == "npy":
        np.save(path, np.array(rows))
    elif kind == "list.json":
        path.write_text(json.dumps(rows))
    elif kind == "json":
        path.write_text(json.dumps([{column: row, "id": index} for index, row in enumerate(rows)]))
    elif kind == "parquet":
        pd.DataFrame({column: rows, "id": range(len(rows))}).to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["npz", "npy", "json", "list.json", "parquet"])
def test_texts_are_read_as_they_are(tmp_path: Path, kind: str) -> None:
    texts = read(written(tmp_path, kind, ROWS))

    assert texts.columns["text"].tolist() == ROWS
    assert not texts.synthetic
    assert not texts.coverage.weak


def test_csv_keeps_texts_that_look_like_numbers_or_gaps(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id,text\n1,01234\n2,NA\n3," x, ""y"""\n4,\n', encoding="utf-8")

    # Every column of a CSV is text, so that the one named so is meant.
    assert read(path).columns["text"].tolist() == ["01234", "NA", ' x, "y"', ""]


@pytest.mark.parametrize("content", [b"text\n\xff\n", b"text,id\na\n", b"", b"text\n"])
def test_csv_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(SampleError):
        read(path)


def test_the_only_column_of_texts_may_have_any_name(tmp_path: Path) -> None:
    assert read(written(tmp_path, "parquet", ROWS, column="review")).columns["text"].tolist() == ROWS


def test_two_columns_are_pairs(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a", "b"], "text_pair": ["c", "d"]}).to_parquet(path)

    assert read(path).columns["text_pair"].tolist() == ["c", "d"]


def test_a_model_of_pairs_needs_both(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="no column 'text_pair' of texts") as caught:
        read(written(tmp_path, "parquet", ROWS), pairs=True)

    assert "name the column 'text_pair'" in caught.value.hint


@pytest.mark.parametrize("rows", [[1, 2], ["a", None]])
def test_numbers_and_gaps_are_no_texts(tmp_path: Path, rows: list[object]) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"text": rows}).to_parquet(path)
    with pytest.raises(SampleError, match="no column 'text' of texts; they hold 'text'"):
        read(path)


def test_many_samples_are_thinned_and_said_so(tmp_path: Path) -> None:
    texts = read(written(tmp_path, "npy", [str(number) for number in range(MOST_ROWS + 9)]))

    assert len(texts.columns["text"]) == MOST_ROWS
    assert texts.notes == (f"{MOST_ROWS} of {MOST_ROWS + 9} samples were compared, evenly spaced",)


def test_a_second_text_is_declared_as_an_input() -> None:
    def declared(*hints: InputHint) -> ConversionRequest:
        return ConversionRequest(source=Path("m"), workdir=Path("w"), inputs=hints)

    assert wants_pairs(declared(InputHint("text_pair", "BYTES", ("N",))), by_default=False)
    assert not wants_pairs(declared(InputHint("text", "BYTES", ("N",))), by_default=False)
    assert wants_pairs(declared(), by_default=True)
    with pytest.raises(UsageError, match="declares 'input_ids' as INT64 of 2 axes"):
        wants_pairs(declared(InputHint("input_ids", "INT64", ("N", "S"))), by_default=False)
