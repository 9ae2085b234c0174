"""TensorFlow and Keras: SavedModel folders, ``.keras`` and HDF5 files, TFLite files, and Python files that make one."""

import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from packager.converters.framework_environment import framework_environment
from packager.converters.tensorflow.recognition import kind_of, looks_like_graph, required_kind
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import EnvironmentSpec
from packager.core.extras import installed_version
from packager.core.progress import Progress

_HAS_CPU_BUILD = sys.platform == "linux" and platform.machine() == "x86_64"
# All hold the same module; the first brings GPU libraries along on Linux.
DISTRIBUTION = "tensorflow-cpu" if _HAS_CPU_BUILD and not installed_version("tensorflow") else "tensorflow"


class TensorflowConverter:
    """Traces the model, freezes its variables, and writes the graph with tf2onnx; TensorFlow gives the answers."""

    name: ClassVar[str] = "tensorflow"
    requires: ClassVar[tuple[str, ...]] = (DISTRIBUTION, "tf2onnx")
    isolated: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ("inputs", "dynamic", "function", "packages", "signature", "plugin")

    def recognises(self, source: ModelSource) -> bool:
        """Whether it is a SavedModel folder, a Keras or TFLite file, or Python that imports TensorFlow or Keras.

        Bare graphs are recognised too, so that they are refused with what to do.
        """
        return kind_of(source.path) is not None or looks_like_graph(source.path)

    def environment_for(self, source: ModelSource, samples: Path | None) -> EnvironmentSpec | None:
        """TensorFlow and tf2onnx, where they are not installed here."""
        required_kind(source.path)
        requirements = (f"{DISTRIBUTION}>=2.19", "tf2onnx>=1.16")
        return framework_environment(self.name, requirements, source, samples, download_mib=350, disk_mib=1500)

    def code_in(self, path: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Lambda layers, classes of the user's, files that layers read, operations that touch more than the graph.

        Raises:
            ModelInvalid, UnsafeModel: As they say.
        """
        from packager.converters.tensorflow.judgement import foreign_in

        return foreign_in(path, has_plugin="plugin" in options)

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX, samples and TensorFlow's answers.

        Raises:
            ModelInvalid: Damaged, of a version that is not read any more, or not of these kinds.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            UnsafeModel: It holds code that nobody trusted.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.tensorflow.conversion import convert

        return convert(request, progress)
