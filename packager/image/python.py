"""The Python of a base image: which one, where, and an interpreter of the same version that compiles for it."""

import re
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from packager.core.errors import BaseUnusable, CompilerMissing, ImageInvalid
from packager.core.process import bare_environment, run

SUPPORTED: Final = ((3, 11), (3, 12), (3, 13))
_INTERPRETER: Final = re.compile(r"(?P<folder>(?:[\w.+-]+/)*bin)/python3\.(?P<minor>[0-9]+)")
_ONNXRUNTIME: Final = re.compile(r"(?P<folder>.+/(?:site|dist)-packages)/onnxruntime/__init__\.py")
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_BITS: Final = 0o111


@dataclass(frozen=True, slots=True)
class BasePython:
    """An interpreter in an image.

    Attributes:
        path: Absolute, in the image.
        onnxruntime: Folder of packages where it finds an ONNX Runtime of the image's own; empty where it finds none.
    """

    version: tuple[int, int]
    path: str
    onnxruntime: str = ""

    def __str__(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def find_python(layers: Sequence[Path], what: str) -> BasePython:
    """The interpreter that an image's layers (bottom first, packed or not) leave in place.

    Raises:
        BaseUnusable: There is none, or none of a version that wheels are locked for.
        ImageInvalid: A layer cannot be read.
    """
    left = _left(layers, what)
    found = {name: int(match["minor"]) for name in left if (match := _INTERPRETER.fullmatch(name))}
    if not found:
        raise BaseUnusable(
            f"{what} holds no Python", hint="use a base with Python 3.11 to 3.13, such as a distroless Python image"
        )
    usable = {name: minor for name, minor in found.items() if (3, minor) in SUPPORTED}
    if not usable:
        versions = ", ".join(sorted({f"3.{minor}" for minor in found.values()}))
        raise BaseUnusable(
            f"{what} holds Python {versions}, and wheels are locked for {_spelt(SUPPORTED)}",
            hint="use a base with one of these",
        )
    name, minor = max(usable.items(), key=lambda item: (item[1], "local" in item[0]))
    brought = {match["folder"] for each in left if (match := _ONNXRUNTIME.fullmatch(each))}
    seen = [folder for folder in _searched(name, minor) if folder in brought]
    return BasePython((3, minor), f"/{name}", f"/{seen[0]}" if seen else "")


def compiler(version: tuple[int, int]) -> str:
    """An interpreter here whose compiled modules the image's Python takes.

    Raises:
        CompilerMissing: There is none; says how to get one.
    """
    spelt = f"{version[0]}.{version[1]}"
    if sys.version_info[:2] == version:
        return sys.executable
    for candidate in (shutil.which(f"python{spelt}"), _of_uv(spelt)):
        if candidate and _is(candidate, spelt):
            return candidate
    raise CompilerMissing(
        f"the base has Python {spelt}, and compiling for it takes a Python {spelt}, which is not here",
        hint=f"`uv python install {spelt}` gets one; or build with --no-compile: a little smaller, slower to start",
    )


@cache
def release_of(interpreter: str) -> str:
    """The release of an interpreter, such as ``3.11.7``: another one may compile a module to other bytes."""
    code = "import platform; print(platform.python_version())"
    return run([interpreter, "-I", "-c", code], timeout_s=30, env=bare_environment()).stdout.strip()


def _of_uv(spelt: str) -> str | None:
    uv = shutil.which("uv") or (str(Path(sys.executable).with_name("uv")))
    if not Path(uv).exists():
        return None
    argv = [uv, "python", "find", "--offline", "--no-project", spelt]
    done = run(argv, timeout_s=30, env=bare_environment({"HOME": str(Path.home())}))
    return done.stdout.strip() if done.returncode == 0 else None


def _is(interpreter: str, spelt: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = run([interpreter, "-I", "-c", code], timeout_s=30, env=bare_environment())
    return done.stdout.strip() == spelt


def _left(layers: Sequence[Path], what: str) -> dict[str, None]:
    """Programs and ONNX Runtimes that are there once all layers are on top of one another, in their order."""
    found: dict[str, None] = {}
    for layer in layers:
        for name in _members(layer, what):
            path = PurePosixPath(name)
            if path.name == _OPAQUE:
                _forget(found, str(path.parent))
            elif path.name.startswith(_WHITEOUT):
                _forget(found, str(path.with_name(path.name.removeprefix(_WHITEOUT))))
            else:
                found[name] = None
    return found


def _searched(interpreter: str, minor: int) -> tuple[str, ...]:
    """Folders of packages of an interpreter; Debian's has more of them than others."""
    prefix = str(PurePosixPath(interpreter).parent.parent)
    own = (f"{prefix}/lib/python3.{minor}/site-packages", f"{prefix}/lib/python3.{minor}/dist-packages")
    debian = (f"usr/local/lib/python3.{minor}/dist-packages", "usr/lib/python3/dist-packages")
    return (*own, *debian) if prefix == "usr" else own


def _members(layer: Path, what: str) -> Iterator[str]:
    try:
        with tarfile.open(layer, "r:*") as tar:
            for member in tar:
                runs = member.issym() or member.islnk() or (member.isreg() and member.mode & _BITS)
                name = member.name.removeprefix("./").strip("/")
                if runs or PurePosixPath(name).name.startswith(_WHITEOUT) or _ONNXRUNTIME.fullmatch(name):
                    yield name
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ImageInvalid(f"a layer of {what} cannot be read: {error}", hint="pull or copy the base again") from error


def _forget(found: dict[str, None], path: str) -> None:
    for name in [each for each in found if each == path or each.startswith(f"{path}/")]:
        del found[name]


def _spelt(versions: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{major}.{minor}" for major, minor in versions)
