"""The converter for MXNet models, which needs no MXNet."""

from pathlib import Path
from typing import ClassVar

from packager.converters.mxnet.files import ModelFiles, find_files, looks_like_mxnet
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import DrayError
from packager.core.progress import Progress


class MxnetConverter:
    """Reads the symbol and its parameters by itself; the answers to compare with come from the user, if at all."""

    name: ClassVar[str] = "mxnet"
    requires: ClassVar[tuple[str, ...]] = ("onnx", "numpy")
    isolated: ClassVar[bool] = True  # the files run no code, but a hostile one may want much memory and time

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file or folder is named as ``export`` and ``save_checkpoint`` name theirs."""
        return looks_like_mxnet(source.path)

    def companions(self, source: Path) -> tuple[Path, ...]:
        """The files that belong to the one that the user names."""
        try:
            files: ModelFiles = find_files(source)
        except DrayError:
            return ()
        return files.symbol, files.params

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX and samples; no reference, which ``--expected`` can give.

        Raises:
            ModelMissing, ModelInvalid: The files are not there, damaged, or do not belong together.
            ConverterMissing: A part of the model has no verified ONNX form; names it.
            SampleError: The samples do not fit, or the file does not tell a shape.
        """
        from packager.converters.mxnet.conversion import convert_mxnet

        return convert_mxnet(request, progress)
