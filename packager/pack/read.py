"""Opening a package for deployment."""

from pathlib import Path

from packager.core.artifact import ModelPackage
from packager.core.errors import UnverifiedPackage
from runtime.contract.package import read_package


def open_package(root: Path, *, accept_unverified: bool = True) -> ModelPackage:
    """The package at ``root``, every content file checked against its digest.

    Args:
        accept_unverified: False refuses a package whose answers nothing vouches for.

    Raises:
        PackageError: Missing, damaged, not of the format, or unverified.
    """
    package = read_package(root)
    if package.certificate.reference == "none" and not accept_unverified:
        raise UnverifiedPackage(
            f"nothing vouches for the answers of {package.manifest.name!r}: its certificate says reference: none",
            hint="package it with --expected FILE (the source's own answers), or add --accept-unverified",
        )
    return package
