"""The runtime's wheels, for a platform and a Python that need not be this machine's: locked, pruned, compiled.

The lock, with the hash of every file, ships with dray: an index that has newer releases, or other files of the same
name, changes nothing. Only wheels are taken, so nothing is built.
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from packager.core.errors import CompilerMissing, WheelsUnavailable
from packager.core.image import Platform
from packager.core.process import bare_environment, run
from packager.environments.installers import UvInstaller, installer, installer_environment
from packager.image.python import compiler

# uv's names of platforms; the glibc is that of Debian 11 and newer, which onnxruntime's wheels need anyway.
_PLATFORMS: Final[Mapping[str, str]] = {
    "amd64": "x86_64-manylinux_2_28",
    "arm64": "aarch64-manylinux_2_28",
}
_TIMEOUT_S: Final = 600.0
# Its line in the lock, and those of its hashes.
_ONNXRUNTIME: Final = re.compile(r"^onnxruntime==.*\n(?: .*\n)*", re.MULTILINE)
# What nothing imports when models are served.
_PRUNED_IN: Final[Mapping[str, frozenset[str]]] = {
    "tests": frozenset(),
    "test": frozenset(),
    "__pycache__": frozenset(),
    "include": frozenset(),
    # numpy.testing is imported by numpy itself where somebody asks for it, never by a server.
    "testing": frozenset({"numpy"}),
    # So are these, which build extensions in Fortran and C.
    "f2py": frozenset({"numpy"}),
    "distutils": frozenset({"numpy"}),
    # Tools of ONNX Runtime for those who make models.
    "transformers": frozenset({"onnxruntime"}),
    "quantization": frozenset({"onnxruntime"}),
    "tools": frozenset({"onnxruntime"}),
}
_PRUNED_SUFFIXES: Final = (".pyi", ".pyx", ".pxd", ".h", ".c", ".cpp", ".hpp", ".a", ".f90")
_PRUNED_NAMES: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", ".lock", "uv_cache.json"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which wheels.

    Attributes:
        texts: Whether the model takes texts, which a tokenizer reads.
        wheelhouse: Folder of wheels that stands for the index.
        compiled: Whether modules are compiled.
        onnxruntime: Whether ONNX Runtime is among them; a base may bring one with the providers of a card.
    """

    platform: Platform
    python: tuple[int, int]
    texts: bool = False
    wheelhouse: Path | None = None
    compiled: bool = True
    onnxruntime: bool = True


def lock_text(texts: bool, *, onnxruntime: bool = True) -> str:
    """The lock, as it ships, or all of it but ONNX Runtime."""
    text = files("packager.image").joinpath("locks", _lock_name(texts)).read_text(encoding="utf-8")
    return text if onnxruntime else _ONNXRUNTIME.sub("", text)


def install_wheels(wanted: Wanted, out: Path, prefix: str) -> None:
    """Unpack the locked wheels into a folder, without what no server imports.

    Args:
        prefix: Where the folder will lie in the image, for the paths in tracebacks.

    Raises:
        WheelsUnavailable: The platform has none, or the index (or wheelhouse) has not the locked ones.
        CompilerMissing: There is no Python of the image's version to compile with, or it fails to.
    """
    interpreter = compiler(wanted.python) if wanted.compiled else None
    _install(wanted, out)
    prune(out)
    if interpreter is not None:
        compile_modules(interpreter, out, prefix)


def prune(folder: Path) -> None:
    """Remove what is never imported; metadata and licences stay."""
    for path in sorted(folder.rglob("*"), reverse=True):
        relative = path.relative_to(folder)
        if path.is_dir() and not path.is_symlink() and _prunes(relative):
            shutil.rmtree(path)
        elif path.is_file() and (path.suffix in _PRUNED_SUFFIXES or path.name in _PRUNED_NAMES):
            path.unlink()
    shutil.rmtree(folder / "bin", ignore_errors=True)


def compile_modules(interpreter: str, folder: Path, prefix: str) -> None:
    """Compile every module, so that a read-only image starts as fast; the files hold no times and no paths of here."""
    argv = [interpreter, "-I", "-S", "-m", "compileall", "-q", "-f", "-j", "1"]
    argv += ["--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", prefix, str(folder)]
    done = run(argv, timeout_s=_TIMEOUT_S, env=bare_environment())
    if done.returncode != 0:
        said = " ".join((done.stdout + done.stderr).split())[-300:]
        raise CompilerMissing(
            f"{interpreter} did not compile all modules of the image: {said}",
            hint="use another Python, or --no-compile",
        )


def _prunes(relative: Path) -> bool:
    if relative.name not in _PRUNED_IN or relative.parts[0].endswith(".dist-info"):
        return False
    owners = _PRUNED_IN[relative.name]
    return not owners or relative.parts[0] in owners


def _install(wanted: Wanted, out: Path) -> None:
    tool = installer()
    if not isinstance(tool, UvInstaller):
        raise WheelsUnavailable("wheels of other platforms are had with uv, which is not here", hint="pip install uv")
    if wanted.platform.architecture not in _PLATFORMS:
        raise WheelsUnavailable(
            f"there are no locked wheels for {wanted.platform}", hint=f"build for {' or '.join(sorted(_PLATFORMS))}"
        )
    with tempfile.TemporaryDirectory(prefix="dray-lock-") as folder:
        lock = Path(folder) / "runtime.txt"
        lock.write_text(lock_text(wanted.texts, onnxruntime=wanted.onnxruntime), encoding="utf-8")
        argv = [*tool.argv, "pip", "install", "--quiet", "--target", str(out), "--no-deps", "--require-hashes"]
        argv += ["--only-binary", ":all:", "--link-mode", "copy", "--requirements", str(lock)]
        argv += ["--python-platform", _PLATFORMS[wanted.platform.architecture]]
        argv += ["--python-version", f"{wanted.python[0]}.{wanted.python[1]}"]
        if wanted.wheelhouse is not None:
            argv += ["--no-index", "--find-links", str(wanted.wheelhouse)]
        done = run(argv, timeout_s=_TIMEOUT_S, env=installer_environment())
    if done.returncode != 0:
        where = f"the wheelhouse {str(wanted.wheelhouse)!r}" if wanted.wheelhouse else "the index"
        said = " ".join(done.stderr.split())[-600:]
        raise WheelsUnavailable(
            f"the locked wheels for {wanted.platform} and Python {wanted.python[0]}.{wanted.python[1]} cannot be had"
            f" from {where}: {said}",
            hint="uv's own settings name an index, a proxy or certificates; --wheelhouse a folder with the wheels",
        )


def _lock_name(texts: bool) -> str:
    return "runtime-text.txt" if texts else "runtime.txt"
