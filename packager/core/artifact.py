"""A model package in memory."""

from dataclasses import dataclass

from packager.core.image import ImageRef
from runtime.contract.package import VerifiedPackage

ModelPackage = VerifiedPackage


@dataclass(frozen=True, slots=True)
class Release:
    """What a deployment runs: a package, and its image for targets that take one."""

    package: ModelPackage
    image: ImageRef | None = None
