"""The child process of a conversion: ``python -P -m packager.convert.worker WORKDIR``; see ``isolation``."""

import importlib
import importlib.util
import json
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from packager.convert.confinement import confine
from packager.convert.isolation import PROGRESS_NAME, REQUEST_NAME, RESPONSE_NAME
from packager.core import errors
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConversionError, DrayError
from packager.core.protocols import Converter
from packager.core.unpickling import limit_unpickling

_MIB = 1 << 20
_PARENT_POLL_S = 0.5


class FileProgress:
    """Appends progress to a file as JSON lines, one event a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def step(self, message: str) -> None:
        """A new stage of work begins."""
        self._append({"step": message})

    def advance(self, done: int, total: int) -> None:
        """``done`` of ``total`` equal parts are finished."""
        self._append({"done": done, "total": total})

    def detail(self, message: str) -> None:
        """Something that ``-v`` should show."""
        self._append({"detail": message})

    def _append(self, event: dict[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")


def main(workdir: Path) -> None:
    """Carry out the request in ``workdir`` and leave the answer, or the error, beside it."""
    document = json.loads((workdir / REQUEST_NAME).read_bytes())
    _limit_memory(document["memory_mib"])
    # Before any thread is there: each thread has its own limits, and hands them on to those that it starts.
    confine(reads=_readable(document), writes=(workdir,))
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if (frameworks := document["unpickles"]) is not None:
        from packager.convert.safety import allowed

        limit_unpickling(allowed(frameworks, document["classes"]))
    try:
        answer = {"ok": _dump(_convert(document, FileProgress(workdir / PROGRESS_NAME)))}
    except DrayError as error:
        answer = {"error": _described(error)}
    except MemoryError:
        answer = {"error": _described(_out_of_memory(document["memory_mib"]))}
    # Whole or not at all: the parent reads what is there when this process has ended.
    staged = workdir / f"{RESPONSE_NAME}.part"
    staged.write_text(json.dumps(answer), encoding="utf-8")
    staged.replace(workdir / RESPONSE_NAME)


def _readable(document: dict[str, Any]) -> list[Path]:
    """Files that the request names, and the code of the converter."""
    request = document["request"]
    options = request["options"].values()
    listed = [item for value in options if isinstance(value, list) for item in value]
    named = [request["source"], request["samples"], *options, *listed, *document["reads"]]
    found = [Path(name) for name in named if isinstance(name, str) and Path(name).is_absolute()]
    spec = importlib.util.find_spec(document["converter"].partition(".")[0].partition(":")[0])
    return found + ([Path(os.path.realpath(spec.origin)).parent] if spec is not None and spec.origin else [])


def _convert(document: dict[str, Any], progress: FileProgress) -> RawConversion:
    from pydantic import TypeAdapter

    module, _, name = document["converter"].partition(":")
    converter: Converter = getattr(importlib.import_module(module), name)()
    request = TypeAdapter(ConversionRequest).validate_python(document["request"])
    return converter.convert(request, progress)


def _dump(raw: RawConversion) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(RawConversion).dump_python(raw, mode="json")


def _described(error: DrayError) -> dict[str, Any]:
    """The error as data, under the nearest name that the parent knows."""
    names = (base.__name__ for base in type(error).__mro__)
    known = next(name for name in names if name in errors.__all__)
    return {"type": known, **error.as_dict()}


def _out_of_memory(memory_mib: int) -> ConversionError:
    return ConversionError(
        f"the conversion needs more than the {memory_mib} MiB of memory that it was given",
        hint="convert on a machine with more memory, or give fewer rows with --samples",
    )


def _end_with(parent: int) -> None:
    """End this process when the one that waits for its answer is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)


def _limit_memory(memory_mib: int) -> None:
    """Bound what this process may allocate, where the system can: macOS knows the limit and does not keep it."""
    import resource

    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mib * _MIB, memory_mib * _MIB))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
