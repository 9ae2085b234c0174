"""What stands behind the references of objects, at the moment when they are applied."""

from typing import Final

from packager.core.image import ImageRef
from targets.kit.kubernetes.settings import KubernetesSettings
from targets.kit.referenced_values import ReferencedValues

_AZURE: Final = ".azurecr."


class SecretValues(ReferencedValues):
    """Looks references up."""

    __slots__ = ()

    def pulls(self, image: ImageRef, settings: KubernetesSettings) -> bool:
        """Whether this machine's credentials for an image's registry are sent along."""
        if settings.pull_secret or settings.registry_username or settings.send_credentials is False:
            return False
        if settings.send_credentials is None and _AZURE in image.host:
            return False
        return self.credentials.credential(image.host) is not None
