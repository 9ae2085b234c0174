"""Images of releases, as targets that run containers need them."""

from packager.core.artifact import Release
from packager.core.errors import ConfigurationError
from packager.core.image import ImageRef


def required_image(release: Release) -> ImageRef:
    """The release's image.

    Raises:
        ConfigurationError: It has none.
    """
    if release.image is None:
        message = "a container needs an image, and this release has none"
        raise ConfigurationError(message, hint="dray image PACKAGE; with --push for a cloud")
    return release.image
