"""PyTorch's files, changed so that they would do harm; made without PyTorch."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent.parent / "fixtures" / "pytorch"
Change = Callable[[dict[str, Any]], None]


def rewritten(
    source: Path, target: Path, replaced: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A copy of a zip with entries replaced or added; names are those after the first folder."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(members)).partition("/")[0]
    members |= {f"{root}/{name}": content for name, content in replaced.items()}
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return target


def with_pickle(target: Path, pickle: bytes, *, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file of torch.save whose object is this pickle."""
    return rewritten(FIXTURES / "layers.pt", target, {"data.pkl": pickle}, compression=compression)


def inner_archive(pickle: bytes) -> bytes:
    """What torch.save writes for a tensor inside an exported program, with this pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/version", "3")
    return stream.getvalue()


def with_graph(target: Path, change: Change) -> Path:
    """An exported program with its graph changed."""
    source = FIXTURES / "program.pt2"
    with zipfile.ZipFile(source) as archive:
        name = next(name for name in archive.namelist() if name.endswith("models/model.json"))
        graph = json.loads(archive.read(name))
    change(graph)
    return rewritten(source, target, {name.partition("/")[2]: json.dumps(graph).encode()})
