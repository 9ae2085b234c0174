"""Copies of packages that were deployed, by digest: what serves can be tested when the original has gone."""

from pathlib import Path

from packager.core.artifact import ModelPackage
from packager.core.files import copy_tree, new_folder
from packager.core.state import cache_home


def kept_package(digest: str) -> Path | None:
    """Our own copy of a package; None where there is none."""
    path = place_of(digest)
    return path if path.is_dir() else None


def keep_package(package: ModelPackage) -> Path:
    """A copy of a package, for tests of the deployment when the original has gone."""
    path = place_of(package.digest)
    if not path.is_dir():
        try:
            with new_folder(path) as staging:
                copy_tree(package.root, staging)
        except FileExistsError:  # another command was quicker
            pass
    return path


def place_of(digest: str) -> Path:
    """Where the copy is, or would be."""
    return cache_home() / "packages" / digest.removeprefix("sha256:")
