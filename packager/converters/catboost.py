"""CatBoost models: the ``.cbm`` files that ``save_model`` writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from packager.converters.recognised import first_bytes
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import ModelInvalid
from packager.core.progress import Progress

if TYPE_CHECKING:
    from packager.converters.boosting.native import NativeSource


class CatboostConverter:
    """Writes the trees as ONNX by itself; CatBoost gives the answers to compare with."""

    name: ClassVar[str] = "catboost"
    requires: ClassVar[tuple[str, ...]] = ("catboost", "onnx")
    isolated: ClassVar[bool] = True  # no code in the file, but a damaged one may crash the library that reads it
    options: ClassVar[tuple[str, ...]] = ("inputs",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file starts as CatBoost's binary form does."""
        return first_bytes(source.path).startswith(b"CBM1")

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and CatBoost's answers.

        Raises:
            ModelInvalid: Not a CatBoost model, or damaged.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.boosting.native import convert_native

        progress.step("loading the model with CatBoost")
        return convert_native(_load(request.source), request, progress)


def _load(path: Path) -> "NativeSource":
    import catboost
    import numpy as np

    from packager.converters.boosting.catboost_json import document_of, read_catboost
    from packager.converters.boosting.model import Link
    from packager.converters.boosting.native import NativeSource, answers_of

    booster = catboost.CatBoost()
    try:
        booster.load_model(str(path), format="cbm")
    except catboost.CatBoostError as error:
        raise ModelInvalid(
            f"CatBoost {catboost.__version__} cannot read {path.name!r}: {str(error).strip().splitlines()[0]}",
            hint="save it again with model.save_model('model.cbm')",
        ) from error
    model = read_catboost(document_of(booster))
    kind = "Probability" if model.classes is not None else "Exponent" if model.link is Link.EXP else "RawFormulaVal"

    def predict(rows: Any) -> Any:
        try:
            scores = np.asarray(booster.predict(rows, prediction_type=kind))
            labels = None if model.classes is None else np.ravel(booster.predict(rows, prediction_type="Class"))
        except catboost.CatBoostError as error:
            raise ValueError(str(error).strip()) from error
        answers = answers_of(model, scores[:, 1] if model.single_score else scores)
        return answers if labels is None else {**answers, "label": labels.astype(answers["label"].dtype)}

    return NativeSource("catboost", "catboost", model, predict)
