"""What an estimator answers, wherever it sits: by its own rule, or else by what skl2onnx makes of it."""

from typing import Any

import numpy as np
from onnx import TensorProto

from packager.converters.sklearn.answers import decision_column
from packager.converters.sklearn.emission import Emitter, Frame
from packager.converters.sklearn.exact.answer import Answer, column_of


def answer_of(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """What an estimator, or a pipeline that ends in one, answers.

    Raises:
        ConverterMissing: A part of it has no faithful form; names it.
    """
    # Rules and members need one another.
    from packager.converters.sklearn.exact.registry import rule_of
    from packager.converters.sklearn.lifting import before

    rest, columns, where = before(emitter, model, frame, path)
    if rule := rule_of(rest):
        return rule.emit(emitter, rest, columns, where)
    return _by_skl2onnx(emitter, rest, columns, where)


def _by_skl2onnx(emitter: Emitter, model: Any, frame: Frame, path: str) -> Answer:
    """The answer of an estimator that skl2onnx converts, in doubles where ONNX Runtime takes its form of them."""
    label, *scores = emitter.outputs(emitter, model, emitter.matrix(frame, path), path)
    if not hasattr(model, "classes_"):
        value = emitter.cast(label, TensorProto.DOUBLE)
        known = np.asarray(getattr(model, "_y", ()))  # of neighbours, which may answer several targets
        targets = known.shape[1] if known.ndim == 2 else 1
        return Answer(value=emitter.add("Reshape", value, emitter.constant(np.array([-1, targets]))))
    index = _place(emitter, label, np.asarray(model.classes_))
    if not scores:
        return Answer(index=index)
    wide = emitter.cast(scores[0], TensorProto.DOUBLE)
    if hasattr(model, "predict_proba"):
        return Answer(index=index, proba=wide)
    if len(model.classes_) == 2:
        table = emitter.add("Reshape", wide, emitter.constant(np.array([0, -1])))
        wide = column_of(emitter, table, decision_column(model))
    return Answer(index=index, decision=wide)


def _place(emitter: Emitter, label: str, classes: Any) -> str:
    """The place of a label among the classes, (rows,)."""
    flat = emitter.add("Reshape", label, emitter.constant(np.array([-1])))
    if classes.dtype.kind in "OUS":
        return emitter.add(
            "LabelEncoder", flat, domain="ai.onnx.ml",
            keys_strings=[str(name) for name in classes], values_int64s=list(range(len(classes))), default_int64=0,
        )  # fmt: skip
    known = emitter.constant(classes.astype(np.int64)[None, :])
    column = emitter.add("Reshape", flat, emitter.constant(np.array([-1, 1])))
    same = emitter.cast(emitter.add("Equal", column, known), TensorProto.INT64)
    return emitter.add("ArgMax", same, axis=1, keepdims=0)
