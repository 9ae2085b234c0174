"""Telling PyTorch's files from others by what is in them, without PyTorch."""

import ast
import json
import zipfile
from enum import Enum
from pathlib import Path

from packager.converters.recognised import first_bytes
from packager.core.torch_archives import LEGACY_MAGIC, ArchiveKind, kind_of_entries

_LARGEST_HEADER = 100 << 20
_LARGEST_CODE = 16 << 20
_OTHER_FRAMEWORKS = {"tensorflow", "keras", "tf_keras"}


class FileKind(Enum):
    """What a file holds, as messages call it."""

    CODE = "a function"
    PROGRAM = "an exported program"
    SCRIPT = "TorchScript"
    CHECKPOINT = "a checkpoint"
    SAFETENSORS = "safetensors"


_OF_ARCHIVE = {
    ArchiveKind.CHECKPOINT: FileKind.CHECKPOINT,
    ArchiveKind.PROGRAM: FileKind.PROGRAM,
    ArchiveKind.SCRIPT: FileKind.SCRIPT,
}

# Of a zip whose end is missing, so that it is called cut off, and not unknown.
_OF_SUFFIX = {
    ".pt": FileKind.CHECKPOINT,
    ".pth": FileKind.CHECKPOINT,
    ".ckpt": FileKind.CHECKPOINT,
    ".ts": FileKind.SCRIPT,
    ".pt2": FileKind.PROGRAM,
}


def kind_of(path: Path, function: str | None = None) -> FileKind | None:
    """The kind of file; None for one that is not PyTorch's.

    Args:
        function: Of a Python file, the one that builds the model.
    """
    if function is not None:
        return None if _imports_another(path) else FileKind.CODE
    if not path.is_file():
        return None
    if first_bytes(path).startswith(LEGACY_MAGIC):
        return FileKind.CHECKPOINT
    damaged = _OF_SUFFIX.get(path.suffix.lower()) if first_bytes(path).startswith(b"PK") else None
    return _kind_of_zip(path) or (FileKind.SAFETENSORS if _is_safetensors(path) else damaged)


def is_traced(path: Path) -> bool:
    """Whether a TorchScript file was made by torch.jit.trace, which keeps the inputs that it followed."""
    with zipfile.ZipFile(path) as archive:
        return any(name.partition("/")[2] == "traced_inputs.pkl" for name in archive.namelist())


def _kind_of_zip(path: Path) -> FileKind | None:
    if not first_bytes(path).startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            found = kind_of_entries(archive.namelist())
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return None
    return None if found is None else _OF_ARCHIVE[found]


def _is_safetensors(path: Path) -> bool:
    head = first_bytes(path)
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{" or not 2 <= length <= min(_LARGEST_HEADER, path.stat().st_size - 8):
        return False
    with path.open("rb") as stream:
        stream.seek(8)
        try:
            return isinstance(json.loads(stream.read(length)), dict)
        except (ValueError, RecursionError):
            return False


def _imports_another(path: Path) -> bool:
    """Whether a Python file imports TensorFlow or Keras; without them it is taken to build a module of PyTorch's."""
    if not path.is_file() or path.stat().st_size > _LARGEST_CODE:
        return False
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return False
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(name.partition(".")[0] in _OTHER_FRAMEWORKS for name in names)
