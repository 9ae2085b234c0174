"""scikit-learn models: pickle and joblib files of fitted estimators and pipelines with numeric input."""

from pathlib import Path
from typing import ClassVar

from packager.converters.sklearn.recognition import looks_pickled
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import EnvironmentSpec
from packager.core.progress import Progress


class SklearnConverter:
    """Converts with skl2onnx; loading runs the pickle, hence in a child process."""

    name: ClassVar[str] = "sklearn"
    requires: ClassVar[tuple[str, ...]] = ("joblib", "onnx", "pandas", "scikit-learn", "skl2onnx")
    isolated: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inputs", "plugin")
    unpickles: ClassVar[tuple[str, ...]] = ("sklearn", "xgboost", "lightgbm", "catboost")

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file is named as a pickle, or starts as one."""
        return looks_pickled(source.path)

    def environment_for(self, source: ModelSource, samples: Path | None) -> EnvironmentSpec | None:
        """The environment with the scikit-learn that saved the file; see ``EnvironmentAware``."""
        from packager.converters.sklearn.environment import environment_for  # kept out of start-up

        return environment_for(source.path, samples)

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and the estimator's own answers.

        Raises:
            ModelInvalid: Not a fitted scikit-learn estimator.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.sklearn.conversion import convert  # scikit-learn takes seconds to import

        return convert(request, progress)
