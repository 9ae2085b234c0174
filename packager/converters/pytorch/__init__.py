"""PyTorch models: exported programs, TorchScript, pickled modules, weights with a class, functions that build one."""

from pathlib import Path
from typing import ClassVar

from packager.converters.pytorch.recognition import kind_of
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import EnvironmentSpec
from packager.core.progress import Progress

_REQUIREMENTS = ("torch>=2.9", "onnxscript>=0.5")
_DOWNLOAD_MIB = 260
_DISK_MIB = 900


class TorchConverter:
    """Converts with PyTorch's own exporters; the module gives the answers to compare with."""

    name: ClassVar[str] = "torch"
    requires: ClassVar[tuple[str, ...]] = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")
    isolated: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inputs", "dynamic", "function", "class", "class_args", "packages")
    unpickles: ClassVar[tuple[str, ...]] = ("torch",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file holds what PyTorch saves, or a function that does not build a TensorFlow model."""
        return kind_of(source.path, source.function) is not None

    def environment_for(self, source: ModelSource, samples: Path | None) -> EnvironmentSpec | None:
        """An environment with PyTorch for processors, where it is not installed here; see ``EnvironmentAware``."""
        from packager.converters.framework_environment import framework_environment  # kept out of start-up

        return framework_environment(
            self.name,
            _REQUIREMENTS,
            source,
            samples,
            download_mib=_DOWNLOAD_MIB,
            disk_mib=_DISK_MIB,
            cpu_builds=("torch",),
        )

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and the module's own answers.

        Raises:
            ModelInvalid: Not a model of PyTorch's, or weights that do not fit the class.
            SampleError: Nothing says the shapes of the inputs, or the samples do not fit.
            ConversionError: The model has no single graph, or not the free axes that were asked for.
        """
        from packager.converters.pytorch.conversion import convert  # PyTorch takes seconds to import

        return convert(request, progress)
