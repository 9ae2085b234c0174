"""Running a converter in a child process: the parent never loads a model file that may hold code."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packager.core import errors, interrupts
from packager.core.conversion import ConversionRequest, LoadLimits, RawConversion
from packager.core.errors import ConversionError, ConversionTimeout, DrayError
from packager.core.process import bare_environment, started
from packager.core.progress import Progress
from packager.core.protocols import Converter

if TYPE_CHECKING:
    import subprocess

logger = logging.getLogger(__name__)

REQUEST_NAME = "request.json"
RESPONSE_NAME = "response.json"
PROGRESS_NAME = "progress.jsonl"
OUTPUT_NAME = "output.txt"
_POLL_S = 0.01
_TAIL_BYTES = 8192
_TAIL_LINES = 6
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What runs a child.

    Attributes:
        python: Has the converter's framework.
        code: Folder with dray's code, where ``python`` does not have it itself.
    """

    python: Path = Path(sys.executable)
    code: Path | None = None


_THIS = Interpreter()


@dataclass(frozen=True, slots=True)
class Child:
    """A converter at work in another process.

    Attributes:
        workdir: Holds the exchange of files; the converter writes to ``workdir / "result"``.
    """

    process: "subprocess.Popen[str]"
    workdir: Path
    deadline: float
    timeout_s: float
    memory_mib: int

    def result(self, progress: Progress) -> RawConversion:
        """What the converter made, waited for; its progress is passed on.

        Raises:
            DrayError: As the converter raised it.
            ConversionTimeout: The time limit passed.
            ConversionError: The child died, with the last lines that it printed.
        """
        relay = _ProgressRelay(self.workdir / PROGRESS_NAME, progress)
        response = self.workdir / RESPONSE_NAME
        # The answer appears whole; a framework may take a while to shut down after it.
        interrupts.check()
        while not response.exists() and self.process.poll() is None:
            if time.monotonic() > self.deadline:
                raise ConversionTimeout(
                    f"the conversion did not end within {self.timeout_s:g} s",
                    hint="give it more time with --timeout, or fewer rows with --samples",
                )
            time.sleep(_POLL_S)
            relay.pass_on()
        relay.pass_on()
        return self._read_response()

    def _read_response(self) -> RawConversion:
        try:
            response = json.loads((self.workdir / RESPONSE_NAME).read_bytes())
        except FileNotFoundError:
            raise self._death() from None
        except ValueError as error:
            raise ConversionError(f"the conversion process left an answer that cannot be read: {error}") from error
        if "error" in response:
            raise _revived(response["error"])
        return _raw_conversion(response["ok"], inside=self.workdir / "result")

    def _death(self) -> ConversionError:
        code = self.process.returncode
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        tail = _tail(self.workdir / OUTPUT_NAME)
        memory = f"; it was given {self.memory_mib} MiB of memory" if code == -9 else ""
        return ConversionError(
            f"the conversion process {how} without an answer{memory}{': ' + tail[-1] if tail else ''}",
            hint="a model file that crashes its framework is damaged or was made for another version of it",
            detail={"returncode": code, "output": tail},
        )


@contextmanager
def converting(
    converter: Converter,
    request: ConversionRequest,
    *,
    timeout_s: float,
    memory_mib: int | None = None,
    interpreter: Interpreter = _THIS,
    limits: LoadLimits = LoadLimits(),  # noqa: B008 - frozen
) -> Iterator[Child]:
    """The converter at work in a child process, which is gone with all its children at the end of the block.

    The child has an empty home, a bare environment, a process group of its own, and bounded time and memory; where the
    system can keep that, it has no network, and reads no files but those of the request (``confinement``).

    Args:
        request: Its ``workdir`` is for the exchange; the converter gets an empty folder in it.
        memory_mib: Three quarters of this machine's memory where None.
        interpreter: This one, or that of another environment.
        limits: What the child may unpickle, and where a trusted file may import from.
    """
    limit = memory_mib or _default_memory_mib()
    workdir = request.workdir
    for name in ("home", "tmp", "result"):
        (workdir / name).mkdir(exist_ok=True)
    _write_request(converter, request, memory_mib=limit, limits=limits)
    argv = [str(interpreter.python), "-P", "-m", "packager.convert.worker", str(workdir)]
    deadline = time.monotonic() + timeout_s
    with (workdir / OUTPUT_NAME).open("wb") as output:
        # One file for both streams: no pipe can fill up, and none is held open by a grandchild.
        number = output.fileno()
        env = _environment(workdir, interpreter, limits)
        with started(argv, env=env, cwd=workdir, stdout=number, stderr=number) as process:
            yield Child(process, workdir, deadline, timeout_s, limit)


def _write_request(converter: Converter, request: ConversionRequest, *, memory_mib: int, limits: LoadLimits) -> None:
    from pydantic import TypeAdapter

    companions = [str(path) for path in _companions(converter, request.source)]
    # The child cannot look into the source's folder, so it is told what was found there.
    options = {**request.options, **({"companions": companions} if companions else {})}
    inner = replace(request, workdir=request.workdir / "result", options=options)
    document = {
        "converter": f"{type(converter).__module__}:{type(converter).__qualname__}",
        "memory_mib": memory_mib,
        "unpickles": limits.frameworks,
        "classes": limits.classes,
        "reads": [str(path) for path in limits.imports] + companions,
        "request": TypeAdapter(ConversionRequest).dump_python(inner, mode="json"),
    }
    (request.workdir / REQUEST_NAME).write_text(json.dumps(document), encoding="utf-8")


def _companions(converter: Converter, source: Path) -> tuple[Path, ...]:
    """Files beside the source that belong to it, which the child may read as well."""
    find = getattr(converter, "companions", None)
    return () if find is None else tuple(find(source))


def _environment(workdir: Path, interpreter: Interpreter, limits: LoadLimits) -> dict[str, str]:
    extra = {
        "HOME": str(workdir / "home"),
        "TMPDIR": str(workdir / "tmp"),
        # What a set's order decides must not differ from run to run.
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }
    # The child works elsewhere, so entries that are relative to here would mean something else there.
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [os.path.abspath(folder) for folder in [*given, *map(str, limits.imports)]]
    if interpreter.code is not None:
        path.insert(0, str(interpreter.code))
    if path:
        extra["PYTHONPATH"] = os.pathsep.join(path)
    return bare_environment(extra)


def _default_memory_mib() -> int:
    import psutil

    return max(2048, int(psutil.virtual_memory().total * 0.75) // _MIB)


def _raw_conversion(document: object, *, inside: Path) -> RawConversion:
    """The child's answer as a value; the child is not trusted, so every path must lie in its folder."""
    from pydantic import TypeAdapter, ValidationError

    try:
        raw = TypeAdapter(RawConversion).validate_python(document, strict=False)
    except ValidationError as error:
        raise ConversionError(f"the conversion process left an answer of another form: {error}") from error
    tokenizer = raw.onnx.parent / raw.preprocessing.path if raw.preprocessing else None
    for path in (raw.onnx, raw.samples, raw.reference_original, raw.reference_cast, tokenizer):
        if path is not None and not path.resolve().is_relative_to(inside.resolve()):
            raise ConversionError(f"the conversion process names a file outside its folder: {str(path)!r}")
    return raw


def _revived(document: dict[str, object]) -> DrayError:
    """The error that the child raised, of the same class where it is one of dray's."""
    known = {name: kind for name in errors.__all__ if isinstance(kind := getattr(errors, name), type)}
    error_type = known.get(str(document.get("type")), ConversionError)
    detail = document.get("detail")
    error: DrayError = error_type(
        str(document.get("message", "")),
        hint=str(document.get("hint", "")),
        detail=detail if isinstance(detail, dict) else {},
    )
    return error


def _tail(path: Path) -> list[str]:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = stream.read().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]


class _ProgressRelay:
    """Passes on the lines that the child has added to its progress file since the last look."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self._path = path
        self._progress = progress
        self._read = 0

    def pass_on(self) -> None:
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._read)
                whole, _, _ = stream.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        if whole:
            self._read += len(whole) + 1
            for line in whole.split(b"\n"):
                self._report(line)

    def _report(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            logger.debug("not a line of progress: %r", line)
            return
        match event:
            case {"step": str(message)}:
                self._progress.step(message)
            case {"detail": str(message)}:
                self._progress.detail(message)
            case {"done": int(done), "total": int(total)}:
                self._progress.advance(done, total)
