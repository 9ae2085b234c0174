"""What stands behind the references of a body, at the moment when it is sent."""

from packager.core.image import ImageRef
from targets.aci.settings import AciSettings
from targets.kit.referenced_values import ReferencedValues


class SecretValues(ReferencedValues):
    """Looks references up."""

    __slots__ = ()

    def pulls(self, image: ImageRef, settings: AciSettings) -> bool:
        """Whether this machine's credentials for an image's registry are to be sent: there are some, and no others."""
        if settings.registry_identity or settings.registry_username:
            return False
        return self.credentials.credential(image.host) is not None
