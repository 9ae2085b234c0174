"""What kind of archive of PyTorch's a zip is, by the names of its entries.

Pure standard library. Source: torch.serialization, torch.jit.save and torch.export.save of PyTorch 1.6 to 2.13.
"""

from collections.abc import Iterable
from enum import Enum

# How torch.save began before 1.6: the pickle of a number of its own.
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


class ArchiveKind(Enum):
    """What torch.load, torch.jit.load and torch.export.load read."""

    CHECKPOINT = "checkpoint"
    SCRIPT = "TorchScript"
    PROGRAM = "exported program"


def kind_of_entries(names: Iterable[str]) -> ArchiveKind | None:
    """The kind of archive with entries of these names; None for any other zip."""
    found = set(names)
    inner = {name.partition("/")[2] for name in found}
    if "archive_format" in inner and any(name.startswith("models/") for name in inner):
        return ArchiveKind.PROGRAM
    if "serialized_exported_program.json" in found:  # torch 2.1 to 2.7
        return ArchiveKind.PROGRAM
    if "data.pkl" not in inner:
        return None
    scripted = "constants.pkl" in inner and any(name.startswith("code/") for name in inner)
    return ArchiveKind.SCRIPT if scripted else ArchiveKind.CHECKPOINT
