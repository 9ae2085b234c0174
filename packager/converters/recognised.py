"""Telling files apart by how they start, for formats whose suffix says nothing."""

from pathlib import Path

HEAD_BYTES = 1024


def first_bytes(path: Path) -> bytes:
    """The start of a file; empty for a folder."""
    if not path.is_file():
        return b""
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)
