"""A model package in memory."""

from dataclasses import dataclass

from packager.core.image import ImageRef, Platform
from runtime.contract.package import VerifiedPackage

ModelPackage = VerifiedPackage


@dataclass(frozen=True, slots=True)
class Release:
    """What a deployment runs: a package, and its image for targets that take one.

    Attributes:
        built_for: Platforms of an image that was built for this release and is brought to where the target finds it
            after the plan was agreed to; empty for one that must be there already.
    """

    package: ModelPackage
    image: ImageRef | None = None
    built_for: tuple[Platform, ...] = ()
