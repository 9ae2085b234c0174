"""What stands behind the references of a manifest, at the moment when it is sent."""

from packager.core.http_client import is_loopback
from packager.core.image import ImageRef
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.referenced_values import ReferencedValues


class SecretValues(ReferencedValues):
    """Looks references up."""

    __slots__ = ()

    def knows(self, image: ImageRef) -> bool:
        """Whether this machine has credentials for an image's registry."""
        return self.credentials.credential(image.host) is not None

    def pulls(self, image: ImageRef, settings: IotEdgeSettings) -> bool:
        """Whether they go along: they stand on the device in clear, so that somebody has to ask for it.

        A registry of this machine itself is a rehearsal's, whose credentials are worth nothing elsewhere.
        """
        if settings.registry_username or settings.send_credentials is False:
            return False
        if settings.send_credentials is None and not is_loopback(f"http://{image.host}"):
            return False
        return self.knows(image)
