"""CNTK models without CNTK: the files that ``Function.save`` wrote, read and written as ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from packager.converters.recognised import first_bytes
from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import ConverterMissing
from packager.core.progress import Progress

if TYPE_CHECKING:
    from packager.core.environment import LegacyProgram

# How BrainScript and the first versions began their files: the marker "BCN" in two-byte letters.
# Source: Source/ComputationNetworkLib/ComputationNetwork.cpp, SaveToFileImpl.
_V1 = "BCN\0".encode("utf-16-le")
_LARGE = b"ktnc"
_SUFFIXES = (".model", ".dnn", ".cntk", ".mod")
# The first key of a dictionary may be any; these are those of a model, and of the state of a trainer beside it.
_KEYS = {b"version", b"type", b"name", b"uid", b"root", b"inputs", b"primitive_functions"}
_WORDS = (b"CompositeFunction", b"PrimitiveFunction", b"Variable")
_TRAINER_KEYS = {b"Version", b"DistributedState", b"Learners", b"ExternalState", b"MinibatchSourceState", b"Model"}


class CntkConverter:
    """Writes the primitives as ONNX by itself; no CNTK is needed, nor asked."""

    name: ClassVar[str] = "cntk"
    requires: ClassVar[tuple[str, ...]] = ("onnx", "numpy")
    isolated: ClassVar[bool] = True  # the file runs no code; this bounds the time and the memory of reading it
    options: ClassVar[tuple[str, ...]] = ("lengths",)

    def recognises(self, source: ModelSource) -> bool:
        """Whether the file starts as CNTK's do: a protobuf dictionary with a model's keys, or the older format."""
        head = first_bytes(source.path)
        if head.startswith((_V1, _LARGE)):
            return True
        key = _first_key(head)
        named = source.path.suffix.lower() in _SUFFIXES
        return key in _TRAINER_KEYS or (key in _KEYS and (named or any(word in head for word in _WORDS)))

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        """ONNX and samples; the answers are CNTK's own where the user gives them with ``--expected``.

        Raises:
            ModelInvalid: Damaged, or no model.
            ConverterMissing: A part of the model has no faithful ONNX form; names it.
            SampleError: The samples do not fit the model.
        """
        from packager.converters.cntk.conversion import convert_cntk

        _refuse_old(request.source)
        return convert_cntk(request, progress)

    def legacy_program(self, request: ConversionRequest, raw: RawConversion) -> "LegacyProgram":
        """What asks CNTK itself, where this machine has it in an environment of its own."""
        from packager.converters.cntk.legacy import program_of

        return program_of(request, raw)


def _refuse_old(path: Path) -> None:
    if first_bytes(path).startswith(_V1):
        raise ConverterMissing(
            f"{path.name!r} is a CNTK V1 model (BrainScript), whose format dray does not read",
            hint="load it in CNTK 2.7 and save it again: C.Function.load('model.dnn').save('model.model')",
        )


def _first_key(head: bytes) -> bytes:
    """The key of the first entry of a dictionary; empty where the bytes are none."""
    # 08 VERSION, then 12 SIZE 0a LENGTH KEY; a size is a number of up to five bytes.
    if len(head) < 8 or head[0] != 0x08 or head[1] > 0x7F or head[2] != 0x12:
        return b""
    at = 3
    while at < min(8, len(head)) and head[at] > 0x7F:
        at += 1
    entry = head[at + 1 : at + 3]
    if len(entry) < 2 or entry[0] != 0x0A:
        return b""
    return head[at + 3 : at + 3 + entry[1]]
