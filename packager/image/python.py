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
_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_BITS: Final = 0o111


@dataclass(frozen=True, slots=True)
class BasePython:
    """An interpreter in an image.

    Attributes:
        path: Absolute, in the image.
    """

    version: tuple[int, int]
    path: str

    def __str__(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def find_python(layers: Sequence[Path], what: str) -> BasePython:
    """The interpreter that an image's layers (bottom first, packed or not) leave in place.

    Raises:
        BaseUnusable: There is none, or none of a version that wheels are locked for.
        ImageInvalid: A layer cannot be read.
    """
    found: dict[str, int] = {}
    for layer in layers:
        for name in _members(layer, what):
            path = PurePosixPath(name)
            if path.name == _OPAQUE:
                _forget(found, str(path.parent))
            elif path.name.startswith(_WHITEOUT):
                _forget(found, str(path.with_name(path.name.removeprefix(_WHITEOUT))))
            elif match := _INTERPRETER.fullmatch(name):
                found[name] = int(match["minor"])
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
    return BasePython((3, minor), f"/{name}")


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


def _members(layer: Path, what: str) -> Iterator[str]:
    try:
        with tarfile.open(layer, "r:*") as tar:
            for member in tar:
                runs = member.issym() or member.islnk() or (member.isreg() and member.mode & _BITS)
                name = member.name.removeprefix("./").strip("/")
                if runs or PurePosixPath(name).name.startswith(_WHITEOUT):
                    yield name
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ImageInvalid(f"a layer of {what} cannot be read: {error}", hint="pull or copy the base again") from error


def _forget(found: dict[str, int], path: str) -> None:
    for name in [each for each in found if each == path or each.startswith(f"{path}/")]:
        del found[name]


def _spelt(versions: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{major}.{minor}" for major, minor in versions)
