from pathlib import Path

import pytest

from packager.core.errors import UsageError
from packager.pack import with_labels
from packager.pack.labels import LabelsMismatch
from tests.support.packages import CLASSES, conversion_of, logistic_model


@pytest.mark.parametrize("text", ['["setosa", "versicolor", "virginica"]', "setosa\nversicolor\n\nvirginica\n"])
def test_names_go_to_the_output_with_as_many_columns(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)

    with conversion_of(logistic_model()) as result:
        labelled = with_labels(result, path)

    assert labelled.labels == {"probabilities": CLASSES}


def test_names_that_fit_no_output_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("yes\nno\n")

    with conversion_of(logistic_model()) as result, pytest.raises(LabelsMismatch) as caught:
        with_labels(result, path)

    assert caught.value.code == "E-LABELS"
    assert "names 2 classes" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"[1, 2", b"[[1], 2]", b"\xff\xfe\x00"])
def test_a_file_that_holds_no_names_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)

    with conversion_of(logistic_model()) as result, pytest.raises(UsageError):
        with_labels(result, path)
