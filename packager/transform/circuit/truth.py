"""What is right of each sample, as the user has it, and how often a model's label is that."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packager.converters.sample_files import read_samples, thinned
from packager.core.errors import SampleError
from packager.transform.wanted import TRUTH_SUFFIXES
from runtime.contract.circuit import Accuracy
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import Label, Signature

Array = NDArray[Any]
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The output that says a row's label.

    Attributes:
        classes: The label of each column of its scores; None where its values are the labels themselves.
        known: All labels that there can be; None where nothing tells.
    """

    output: str
    classes: Words | None
    known: frozenset[str] | None


def read_truth(path: Path, rows: int) -> Words:
    """The labels of a file, one for each of so many samples.

    Raises:
        SampleError: It cannot be read, or holds something else.
    """
    try:
        found = _values(path, rows)
    except (OSError, ValueError, EOFError) as error:
        raise SampleError(
            f"cannot read the truth {path.name!r}: {error}",
            hint=f"write one label a row, as {', '.join(TRUTH_SUFFIXES)}; of Python objects make plain strings",
        ) from error
    if len(found) != rows:
        raise SampleError(
            f"the truth {path.name!r} holds {len(found)} labels, and there are {rows} samples",
            hint="give one label for each row of --samples, in the same order",
        )
    return tuple(map(_word, found))


def sample_rows(path: Path) -> int:
    """Rows of a samples file, all of them."""
    file = read_samples(path)
    if file.frame is not None:
        return len(file.frame)
    return max((len(rows) for rows in (file.arrays or {}).values() if rows.ndim), default=0)


def of_judged(truth: Words, rows: int, judged: int) -> Words:
    """The truth of the rows that were judged, where a converter or the proof took fewer, evenly spaced.

    Args:
        rows: That the converter asked the source about. ``judged``: those of them that were compared.
    """
    found = np.array(truth, dtype=object)
    if rows != len(found):
        found = found[thinned(len(found), limit=rows)]
    if judged != rows:
        found = found[np.linspace(0, rows - 1, judged).astype(np.int64)]
    return tuple(found.tolist())


def labelled_output(
    signature: Signature, labels: Mapping[str, Sequence[Label]] | None, expected: Mapping[str, Array]
) -> Labelled:
    """The output to judge by the truth: one of labels, else the scores of classes.

    Raises:
        SampleError: There is none.
    """
    told = {name: tuple(map(_word, names)) for name, names in (labels or {}).items()}
    whole = next(iter(told.values()), None)
    scores = []
    for spec in signature.outputs:
        width = expected[spec.name].reshape(len(expected[spec.name]), -1).shape[1]
        if not DTYPES[spec.dtype].is_float:
            if width == 1:
                return Labelled(spec.name, None, frozenset(whole) if whole else None)
        elif width > 1 and expected[spec.name].ndim == 2:
            classes = told.get(spec.name) or tuple(map(str, range(width)))
            scores.append(Labelled(spec.name, classes, frozenset(classes)))
    if scores:
        return scores[0]
    raise SampleError(
        "the truth is compared with labels, and the model gives none: "
        + ", ".join(f"{spec.name} {spec.dtype} {list(spec.shape)}" for spec in signature.outputs),
        hint="leave --truth out; agreement with the source is measured without it",
    )


def check_truth(truth: Words, where: Labelled) -> None:
    """Refuse a truth that is about other labels.

    Raises:
        SampleError: With the first label that the model cannot give.
    """
    strange = sorted(set(truth) - where.known) if where.known is not None else []
    if strange:
        raise SampleError(
            f"the truth holds the label {strange[0]!r}, which {where.output!r} never gives",
            hint=f"its labels are {_listed(where.known or ())}; --labels FILE names columns",
            detail={"labels": strange[:20]},
        )


def accuracy(truth: Words, where: Labelled, before: Array, after: Array) -> Accuracy:
    """Share of rows that are right, by the source's answers and by the circuit's."""
    wanted = np.array(truth, dtype=object)
    shares = [round(float((_labels(answers, where) == wanted).mean()), 6) for answers in (before, after)]
    return Accuracy(rows=len(truth), output=where.output, before=shares[0], after=shares[1])


def one_class_alone(answers: Mapping[str, Array], scores: frozenset[str]) -> list[str]:
    """Outputs of labels, and those of scores of classes among the rest, that say the same of all rows."""
    kinds = {name: found for name, found in answers.items() if name in scores or found.dtype.kind != "f"}
    return [name for name, found in kinds.items() if len(set(_chosen(found))) == 1]


def _chosen(answers: Array) -> list[Any]:
    """The label or the number of the highest score, by row; nothing of numbers that stand for themselves."""
    if answers.dtype.kind != "f":
        return list(answers.tolist()) if answers.ndim == 1 else []
    return list(answers.argmax(axis=1).tolist()) if answers.ndim == 2 and answers.shape[1] > 1 else []


def _labels(answers: Array, where: Labelled) -> Array:
    if where.classes is None:
        return np.array([_word(value) for value in answers.reshape(-1).tolist()], dtype=object)
    classes: Array = np.array(where.classes, dtype=object)
    found: Array = classes[answers.argmax(axis=1)]
    return found


def _values(path: Path, rows: int) -> list[Any]:
    match path.suffix.lower():
        case ".npy":
            return _flat(np.load(path, allow_pickle=False))
        case ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return _flat(_only([archive[name] for name in archive.files]))
        case ".csv":
            with path.open(newline="", encoding="utf-8-sig") as stream:
                lines = [line for line in csv.reader(stream) if line]
            if any(len(line) != 1 for line in lines):
                raise ValueError("it has more than one column")
            return [line[0].strip() for line in (lines[1:] if len(lines) == rows + 1 else lines)]  # below a header
        case ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            return _flat(np.array(_only(list(content.values())) if isinstance(content, dict) else content))
    raise ValueError(f"{path.suffix or 'a file without a suffix'} is not read")


def _only(found: list[Any]) -> Any:
    if len(found) != 1:
        raise ValueError(f"it holds {len(found)} lists, and one is needed")
    return found[0]


def _flat(values: Array) -> list[Any]:
    if values.ndim == 0 or values.size != len(values):
        raise ValueError(f"its shape is {list(values.shape)}, and one label a row is needed")
    return list(values.reshape(-1).tolist())


def _word(value: object) -> str:
    """A label as it is compared: files without types say 3, 3.0 and "3" of one class."""
    text = value.decode() if isinstance(value, bytes) else str(value)
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def _listed(words: Iterable[str]) -> str:
    ordered = sorted(words)
    return ", ".join(ordered[:20]) + (", …" if len(ordered) > 20 else "")
