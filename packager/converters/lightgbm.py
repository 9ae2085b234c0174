"""LightGBM models: the text files that ``save_model`` writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from packager.converters.recognised import first_bytes
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import ModelInvalid
from packager.core.progress import Progress

if TYPE_CHECKING:
    from packager.converters.boosting.native import NativeSource

# A file without it crashes the library. Source: LightGBM, GBDT::SaveModelToString.
_END = b"end of trees"


class LightgbmConverter:
    """Writes the trees as ONNX by itself; LightGBM gives the answers to compare with."""

    name: ClassVar[str] = "lightgbm"
    requires: ClassVar[tuple[str, ...]] = ("lightgbm", "onnx")
    isolated: ClassVar[bool] = True  # a text file runs no code, but a damaged one may crash the library that reads it
    options: ClassVar[tuple[str, ...]] = ("inputs",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file starts as LightGBM's text does."""
        return first_bytes(source.path).replace(b"\r\n", b"\n").startswith(b"tree\nversion=")

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and LightGBM's answers.

        Raises:
            ModelInvalid: Not a LightGBM model, or damaged.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.boosting.native import convert_native

        progress.step("loading the model with LightGBM")
        return convert_native(_load(request.source), request, progress)


def _load(path: Path) -> "NativeSource":
    import lightgbm
    import numpy as np

    from packager.converters.boosting.lightgbm_text import read_lightgbm
    from packager.converters.boosting.native import NativeSource, answers_of

    if _END not in path.read_bytes():
        raise ModelInvalid(
            f"{path.name!r} is cut off: LightGBM's text has no end of trees",
            hint="save it again with booster.save_model('model.txt')",
        )
    try:
        booster = lightgbm.Booster(model_file=path)
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise ModelInvalid(
            f"LightGBM {lightgbm.__version__} cannot read {path.name!r}: {str(error).splitlines()[0]}",
            hint="save it again with booster.save_model('model.txt')",
        ) from error
    model = read_lightgbm(booster.model_to_string(num_iteration=-1))

    def predict(rows: Any) -> Any:
        return answers_of(model, np.asarray(booster.predict(rows)))

    return NativeSource("lightgbm", "lightgbm", model, predict)
