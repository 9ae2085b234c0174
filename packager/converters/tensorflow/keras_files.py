"""Reading what Keras files say of themselves, without Keras: zips with a configuration, and HDF5 files."""

import json
import mmap
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from packager.converters.tensorflow.recognition import CONFIG
from packager.core.errors import ModelInvalid, UnsafeModel

_MOST_CONFIG_BYTES = 256 << 20
_FREE_BYTES = 256 << 20
_MOST_TIMES = 200
_SAVE_AGAIN = "save the model again with model.save('model.keras')"
# How the configuration of a model or an object begins in the text of an HDF5 attribute.
_OBJECT = re.compile(rb'\{\s*"(?:module|class_name)"\s*:')
_DECODER = json.JSONDecoder()


def zipped_config(path: Path) -> Any:
    """The configuration in a ``.keras`` file.

    Raises:
        ModelInvalid: Damaged, or not such a file.
        UnsafeModel: It holds paths that lead out of it, two entries of one name, or grows beyond any model.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive)
            return json.loads(archive.read(CONFIG))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, RecursionError, NotImplementedError, EOFError) as error:
        raise ModelInvalid(
            f"{path.name!r} is not a Keras file that can be read, or is cut off: {type(error).__name__}: {error}",
            hint=_SAVE_AGAIN,
        ) from error


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    strange = [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts or "\\" in name]
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) != len(names) else []
    if strange or twice:
        what = "leads out of it" if strange else "is there twice"
        raise UnsafeModel(
            f"{path.name!r} holds the entry {(strange or twice)[0]!r}, which {what}",
            hint=f"nothing of it was run; {_SAVE_AGAIN}",
        )
    limit = max(_FREE_BYTES, path.stat().st_size * _MOST_TIMES)
    if sum(entry.file_size for entry in entries) > limit or archive.getinfo(CONFIG).file_size > _MOST_CONFIG_BYTES:
        raise UnsafeModel(
            f"{path.name!r} grows to more than {limit >> 20} MiB, as no model does",
            hint=f"nothing of it was run; {_SAVE_AGAIN}",
        )


def embedded_configs(path: Path) -> list[Any]:
    """Configurations that stand as text in an HDF5 file, wherever they are in it.

    What HDF5 says is the model's own is read once more where it is loaded; here nothing may be overlooked that a
    person has to be asked about.

    Raises:
        ModelInvalid: There is none: the file holds weights alone.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        found = [value for value in _objects(mapped) if _is_model(value)]
    if not found:
        raise ModelInvalid(
            f"{path.name!r} holds no configuration of a Keras model: cut off, of another program, or weights alone",
            hint="save the whole model with model.save('model.keras'), or name a Python file whose function builds the"
            " model and calls load_weights: dray package build.py:load",
        )
    return found


def _is_model(value: Any) -> bool:
    """Whether it is a model's configuration, not an optimizer's, which is never loaded."""
    inner = value.get("config")
    return isinstance(inner, list) or (isinstance(inner, dict) and "layers" in inner)


def _objects(mapped: mmap.mmap) -> Iterator[Any]:
    place = 0
    while (match := _OBJECT.search(mapped, place)) is not None:
        start = match.start()
        end = mapped.find(b"\0", start)
        text = mapped[start : min(end if end >= 0 else len(mapped), start + _MOST_CONFIG_BYTES)].decode(
            "utf-8", "replace"
        )
        try:
            value, length = _DECODER.raw_decode(text)
        except (ValueError, RecursionError):
            place = match.end()
            continue
        yield value
        place = start + len(text[:length].encode())


def hdf5_config(path: Path) -> Any:
    """The model's own configuration as HDF5 has it, by h5py, which runs nothing.

    Raises:
        ModelInvalid: Damaged, or weights alone.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs["model_config"]
        return json.loads(text)
    except (OSError, KeyError, ValueError, RecursionError, RuntimeError) as error:
        raise ModelInvalid(
            f"{path.name!r} holds no Keras model that can be read: {type(error).__name__}: {str(error)[:200]}",
            hint=_SAVE_AGAIN,
        ) from error
