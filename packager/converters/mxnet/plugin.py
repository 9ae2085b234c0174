"""The converter for MXNet models, which needs no MXNet."""

from pathlib import Path
from typing import ClassVar

from packager.converters.mxnet.files import ModelFiles, find_files, looks_like_mxnet
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.environment import EnvironmentSpec, LegacyProgram
from packager.core.errors import DrayError, UsageError
from packager.core.progress import Progress

_SCRIPT = Path(__file__).with_name("reference_script.py")
# The last wheels; they need a numpy that still has numpy.bool.
LEGACY = EnvironmentSpec(
    name="mxnet-1.9.1",
    reason="MXNet installs on no current Python",
    instead="leave --env legacy away, and give its answers with --expected, or none",
    requirements=("mxnet==1.9.1", "numpy<1.24"),
    by_hand="MXNet 1.9.1 has wheels for Python 3.8 to 3.11",
    download_mib=70,
    disk_mib=300,
)


class MxnetConverter:
    """Reads the symbol and its parameters by itself; the answers to compare with come from the user, if at all."""

    name: ClassVar[str] = "mxnet"
    requires: ClassVar[tuple[str, ...]] = ("onnx", "numpy")
    isolated: ClassVar[bool] = True  # the files run no code, but a hostile one may want much memory and time
    options: ClassVar[tuple[str, ...]] = ("inputs", "lengths")

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

    def legacy_program(self, request: ConversionRequest, raw: RawConversion) -> LegacyProgram:
        """What asks MXNet 1.9.1 itself, the last release, in an environment of its own.

        Raises:
            ModelMissing, ModelInvalid: The files are not all there.
            UsageError: The model takes lengths, which MXNet computes on graphics processors only.
        """
        if request.options.get("lengths"):
            raise UsageError(
                "--lengths and --env legacy do not go together: MXNet has no lengths on a processor",
                hint="leave one out; with --lengths, --expected FILE can hold MXNet's answers to each row alone",
            )
        files = find_files(request.source)
        return LegacyProgram(LEGACY, _SCRIPT, (str(files.symbol.absolute()), str(files.params.absolute())))

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX and samples; no reference, which ``--expected`` can give.

        Raises:
            ModelMissing, ModelInvalid: The files are not there, damaged, or do not belong together.
            ConverterMissing: A part of the model has no verified ONNX form; names it.
            SampleError: The samples do not fit, or the file does not tell a shape.
        """
        from packager.converters.mxnet.conversion import convert_mxnet

        return convert_mxnet(request, progress)
