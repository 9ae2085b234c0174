"""Converters that misbehave in every way that a child process can, for the tests of isolation."""

import os
import signal
import time
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
