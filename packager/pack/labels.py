"""Class names from ``--labels FILE``, for models whose file does not hold them."""

import json
from dataclasses import replace
from pathlib import Path

from packager.core.conversion import ConversionResult
from packager.core.errors import ConversionError, UsageError
from runtime.contract.dtypes import DTYPES
from runtime.contract.manifest import Label


class LabelsMismatch(ConversionError):
    """The class names do not fit any output of the model."""

    code = "E-LABELS"


def with_labels(result: ConversionResult, path: Path) -> ConversionResult:
    """The conversion with class names attached to every float output that has one column a class.

    Raises:
        UsageError: No such file, or neither a JSON list nor one name a line.
        LabelsMismatch: No output has as many columns as there are names.
    """
    labels = _read(path)
    fitting = [
        spec.name
        for spec in result.signature.outputs
        if DTYPES[spec.dtype].is_float and spec.shape and spec.shape[-1] == len(labels)
    ]
    if not fitting:
        shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in result.signature.outputs)
        raise LabelsMismatch(
            f"{str(path)!r} names {len(labels)} classes, and no output has {len(labels)} columns: {shapes}",
            hint="write one name for each column of the model's scores, in their order",
        )
    return replace(result, labels={**(result.labels or {}), **dict.fromkeys(fitting, labels)})


def _read(path: Path) -> tuple[Label, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the labels {str(path)!r}: {error}") from error
    if not text.lstrip().startswith("["):
        return tuple(line.strip() for line in text.splitlines() if line.strip())
    try:
        labels = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{str(path)!r} is not JSON: {error}", hint="write a list, or one name a line") from error
    if not all(isinstance(label, str | int | float) for label in labels):
        raise UsageError(f"{str(path)!r} holds more than names and numbers", hint="write a flat list")
    return tuple(labels)
