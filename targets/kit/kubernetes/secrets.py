"""What stands behind the references of objects, at the moment when they are applied."""

from dataclasses import dataclass, field
from typing import Final

from packager.core.credentials import CredentialSource
from packager.core.errors import CredentialsUnusable
from packager.core.image import ImageRef
from packager.core.protocols import Secrets
from targets.kit.api_keys import secret_of
from targets.kit.kubernetes.objects.identity import PULL
from targets.kit.kubernetes.settings import KubernetesSettings

# A token of an Azure account stands as the password of this user. Source: github.com/Azure/acr, "AAD-OAuth".
_TOKEN_USER: Final = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a name, not a secret
_AZURE: Final = ".azurecr."


@dataclass(frozen=True, slots=True)
class SecretValues:
    """Looks references up."""

    secrets: Secrets = field(repr=False)
    credentials: CredentialSource = field(repr=False)

    def __call__(self, reference: str) -> str:
        """The value.

        Raises:
            CredentialsUnusable: There is none.
        """
        kind, _, rest = reference.partition(":")
        if kind not in (PULL, f"{PULL}-user"):
            return secret_of(reference, self.secrets)
        found = self.credentials.credential(rest)
        if found is None:
            raise CredentialsUnusable(f"no credentials for {rest} any more", hint=f"docker login {rest}")
        if kind == PULL:
            return found.password or found.identity_token
        return found.username or _TOKEN_USER

    def pulls(self, image: ImageRef, settings: KubernetesSettings) -> bool:
        """Whether this machine's credentials for an image's registry are sent along."""
        if settings.pull_secret or settings.registry_username or settings.send_credentials is False:
            return False
        if settings.send_credentials is None and _AZURE in image.host:
            return False
        return self.credentials.credential(image.host) is not None
