"""Converters that misbehave in every way that a child process can, for the tests of isolation."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np

from packager.core.conversion import ConversionRequest, ModelSource, RawConversion
from packager.core.errors import SampleError
from packager.core.progress import Progress
from runtime.contract.certificate import Coverage


class Obedient:
    """Does what it is told by the text of the model file."""

    name: ClassVar[str] = "obedient"
    requires: ClassVar[tuple[str, ...]] = ()
    isolated: ClassVar[bool] = True

    def recognises(self, source: ModelSource) -> bool:
        return source.path.suffix == ".txt"

    def convert(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return getattr(self, request.source.read_text())(request, progress)

    def report(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        progress.step("at work")
        progress.advance(1, 2)
        progress.detail(f"HOME={os.environ['HOME']} secret={os.environ.get('DRAY_TEST_SECRET')} cwd={Path.cwd()}")
        os.write(1, b"noise on stdout\n")
        return _raw(request.workdir, request.workdir / "model.onnx")

    def refuse(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        raise SampleError("rows do not fit", hint="give others", detail={"column": 3})

    def raise_unforeseen(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        raise ZeroDivisionError("by nothing")

    def crash(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        os.write(2, b"segment violated\n")
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError

    def hang(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        (request.workdir / "pid").write_text(str(os.getpid()))
        progress.step("hanging")
        time.sleep(600)
        raise AssertionError

    def eat(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        np.ones(1 << 31)
        raise AssertionError

    def escape(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return _raw(request.workdir, Path("/etc/passwd"))


def _raw(folder: Path, onnx: Path) -> RawConversion:
    return RawConversion(
        onnx=onnx,
        samples=folder / "samples.npz",
        reference="none",
        reference_original=None,
        reference_cast=None,
        framework="obedient",
        framework_version="1",
        synthetic=True,
        seed=7,
        coverage=Coverage(),
        labels={"p": ("a", 1, True, 0.5)},
    )


class Prisoner(Obedient):
    """Tries to get out of the process that it was closed into; says what came of it."""

    name: ClassVar[str] = "prisoner"

    def tried(self, what: Callable[[], object]) -> RawConversion:
        try:
            outcome = repr(what())
        except OSError as error:
            outcome = type(error).__name__
        raise SampleError(outcome)

    def connect(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        port = int(os.environ["PATH"].rpartition(":port-")[2])
        return self.tried(lambda: socket.create_connection(("127.0.0.1", port), timeout=5))

    def connect_local(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(lambda: socket.socket(socket.AF_UNIX))

    def read_beside(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried((request.source.parent / "secret.txt").read_text)

    def write_beside(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(lambda: (request.source.parent / "left.txt").write_text("was here"))

    def overwrite_model(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(lambda: request.source.write_text("harmless"))

    def read_parent(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(Path(f"/proc/{os.getppid()}/environ").read_bytes)

    def signal_parent(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(lambda: os.kill(os.getppid(), signal.SIGTERM))

    def start_new_group(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        return self.tried(lambda: subprocess.run([sys.executable, "-c", "import os; os.setsid()"], check=True))

    def stay_behind(self, request: ConversionRequest, progress: Progress) -> RawConversion:
        child = subprocess.Popen(["sleep", "300"], preexec_fn=lambda: os.fork() and os._exit(0))  # noqa: PLW1509
        child.wait()
        raise SampleError(",".join(entry.name for entry in Path("/proc").glob("[0-9]*") if is_sleeping(entry)))


def is_sleeping(process: Path) -> bool:
    try:
        return (process / "cmdline").read_bytes() == b"sleep\x00300\x00"
    except OSError:
        return False
