"""XGBoost models: the JSON and UBJSON files of ``save_model``, and older binary ones while XGBoost reads them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from packager.converters.recognised import first_bytes
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import ModelInvalid
from packager.core.extras import installed_version
from packager.core.progress import Progress

if TYPE_CHECKING:
    from packager.converters.boosting.model import BoostedModel
    from packager.converters.boosting.native import NativeSource

# Both hold the same module; the first brings GPU libraries along.
DISTRIBUTION = "xgboost" if installed_version("xgboost") else "xgboost-cpu"
_BOOSTERS = (b"gbtree", b"gblinear", b"dart")


class XgboostConverter:
    """Writes the trees as ONNX by itself; XGBoost gives the answers to compare with."""

    name: ClassVar[str] = "xgboost"
    requires: ClassVar[tuple[str, ...]] = (DISTRIBUTION, "onnx")
    isolated: ClassVar[bool] = True  # no code in the file, but a damaged one may crash the library that reads it
    options: ClassVar[tuple[str, ...]] = ("inputs",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file starts as XGBoost's JSON, its UBJSON, or the binary form of versions before 3.1."""
        head = first_bytes(source.path)
        if re.match(rb'\s*\{\s*"(learner|version)"\s*:', head) or (head.startswith(b"{L") and b"learner" in head[:32]):
            return True
        return head[:1] not in {b"", b"{", b"\x80"} and b":" in head and any(name in head for name in _BOOSTERS)

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and XGBoost's answers.

        Raises:
            ModelInvalid: Not an XGBoost model, or damaged, or of a version that is not read any more.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.boosting.native import convert_native

        progress.step("loading the model with XGBoost")
        return convert_native(_load(request.source), request, progress)


def _load(path: Path) -> "NativeSource":
    """The model, with the answers of the wrapper that saved it, or of the bare booster."""
    import json

    from packager.converters.boosting.native import NativeSource
    from packager.converters.boosting.xgboost_json import attributes_of, read_xgboost

    booster = _booster(path)
    text = bytes(booster.save_raw(raw_format="json"))
    attributes = attributes_of(text)
    wrapper = json.loads(attributes.get("scikit_learn", "{}")).get("_estimator_type")
    # A wrapper answers with the best round of early stopping, a bare booster with all.
    best = attributes.get("best_iteration") if wrapper else None
    rounds = None if best is None else int(best) + 1
    model = read_xgboost(text, rounds=rounds, regresses=wrapper not in (None, "classifier"))

    def predict(rows: Any) -> Any:
        return _answers(booster, model, rows, rounds=rounds or 0)

    return NativeSource("xgboost", DISTRIBUTION, model, predict)


def _booster(path: Path) -> Any:
    import xgboost

    try:
        return xgboost.Booster(model_file=path)
    except xgboost.core.XGBoostError as error:
        reason = str(error).strip().splitlines()[0]
        old = "" if first_bytes(path).lstrip().startswith(b"{") else "; before 3.1, files could be binary"
        raise ModelInvalid(
            f"XGBoost {xgboost.__version__} cannot read {path.name!r}: {reason}{old}",
            hint="load it with the XGBoost that saved it, and save it with booster.save_model('model.json')",
        ) from error


def _answers(booster: Any, model: "BoostedModel", rows: Any, *, rounds: int) -> Any:
    import numpy as np

    from packager.converters.boosting.native import answers_of

    def ask(kind: str) -> Any:
        return booster.inplace_predict(
            np.asarray(rows), iteration_range=(0, rounds), predict_type=kind, validate_features=False
        )

    value = np.asarray(ask("value"))
    if model.classes is None or model.single_score or value.ndim == 2:
        return answers_of(model, value)
    # multi:softmax answers with the class alone.
    margin = np.asarray(ask("margin"))
    shares = np.exp(margin - margin.max(axis=1, keepdims=True))
    return {"label": value.astype(np.int64), "probabilities": shares / shares.sum(axis=1, keepdims=True)}
