"""Everything that building, reading, pushing and pulling a container image can fail at: exit 4.

Import them from ``packager.core.errors``, which has all families.
"""

from runtime.contract.errors import DrayError


class ImageError(DrayError):
    """The container image could not be built, read or pushed."""

    code = "E-IMAGE"


class ImageReferenceInvalid(ImageError):
    """The text is not an image reference."""

    code = "E-IMAGE-REFERENCE"


class ImageMissing(ImageError):
    """There is no image of this name where it was looked for: file, folder, engine or registry."""

    code = "E-IMAGE-MISSING"


class ImageInvalid(ImageError):
    """What lies there is no image, is damaged, or is not what its digest says."""

    code = "E-IMAGE-INVALID"


class BaseUnusable(ImageError):
    """The base image cannot carry the runtime: no Python in it, or one that dray's wheels are not locked for."""

    code = "E-IMAGE-BASE"


class ArchitectureMissing(ImageError):
    """The image does not exist for the platform that was asked for."""

    code = "E-IMAGE-ARCH"


class WheelsUnavailable(ImageError):
    """The runtime's locked wheels cannot be had: no index, none for the platform, or not the locked bytes."""

    code = "E-IMAGE-WHEELS"


class CompilerMissing(ImageError):
    """Compiling for an image takes a Python of the image's own minor version, and there is none here."""

    code = "E-IMAGE-PYTHON"


class ImageUnfaithful(ImageError):
    """The image does not hold the package that it claims."""

    code = "E-IMAGE-VERIFY"


class ImageExists(ImageError):
    """There is something else at the path where the image should go."""

    code = "E-IMAGE-EXISTS"


class EngineUnavailable(ImageError):
    """No container engine answers, or it refused what it was asked."""

    code = "E-IMAGE-ENGINE"
