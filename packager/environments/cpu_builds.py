"""Where builds for the CPU alone are to be had: a package index may hold builds with gigabytes of GPU libraries.

Such builds of PyTorch bear the local version ``+cpu``. They are taken from the folders that pip is told of
(``find-links``), which uv does not read, else from PyTorch's own index, which uv knows (``--torch-backend``).
"""

import configparser
import os
import platform
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

_LOCAL = "cpu"


def index_has_gpu_builds() -> bool:
    """Whether the package index's own wheels for this machine bring GPU libraries along."""
    return sys.platform == "linux" and platform.machine() == "x86_64"


def local_build(requirement: str, folders: Sequence[Path]) -> tuple[Path, str] | None:
    """The folder with a CPU build that this Python can use, the newest that fulfils the requirement, and its pin."""
    wanted = Requirement(requirement)
    tags = frozenset(sys_tags())
    found: list[tuple[Version, Path]] = []
    for folder in folders:
        for wheel in folder.glob(f"{wanted.name}-*.whl"):
            try:
                name, version, _, of_wheel = parse_wheel_filename(wheel.name)
            except InvalidWheelFilename:
                continue
            fits = wanted.specifier.contains(version.public) and not tags.isdisjoint(of_wheel)
            if name == wanted.name and version.local == _LOCAL and fits:
                found.append((version, folder))
    if not found:
        return None
    version, folder = max(found)
    return folder, f"{wanted.name}=={version}"


def link_folders() -> tuple[Path, ...]:
    """The folders of wheels that pip is told of, by its environment variable or its files."""
    texts = [os.environ.get("PIP_FIND_LINKS", ""), *(_find_links(path) for path in _pip_files())]
    named = [Path(os.path.expanduser(word)) for text in texts for word in re.split(r"[\s,]+", text) if word]
    return tuple(dict.fromkeys(path for path in named if path.is_dir()))


def _pip_files() -> Iterator[Path]:
    """Source: "Configuration" in pip's documentation."""
    if chosen := os.environ.get("PIP_CONFIG_FILE"):
        yield Path(chosen)
    home = Path.home()
    yield from (Path(sys.prefix) / "pip.conf", home / ".pip" / "pip.conf")
    yield Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    for folder in (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder) / "pip" / "pip.conf"
    yield Path("/etc/pip.conf")


def _find_links(path: Path) -> str:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return ""  # pip will say what is wrong with its own file
    return " ".join(parser.get(section, "find-links", fallback="") for section in ("global", "install"))
