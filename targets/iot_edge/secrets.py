"""What stands behind the references of a manifest, at the moment when it is sent."""

from dataclasses import dataclass, field
from typing import Final

from packager.core.credentials import CredentialSource
from packager.core.errors import CredentialsUnusable
from packager.core.http_client import is_loopback
from packager.core.image import ImageRef
from packager.core.protocols import Secrets
from targets.iot_edge.module import CREDENTIAL
from targets.iot_edge.settings import IotEdgeSettings
from targets.kit.api_keys import secret_of

# A token of an Azure account stands as the password of this user. Source: github.com/Azure/acr, "AAD-OAuth".
_TOKEN_USER: Final = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a name, not a secret


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
        if kind not in (CREDENTIAL, f"{CREDENTIAL}-user"):
            return secret_of(reference, self.secrets)
        found = self.credentials.credential(rest)
        if found is None:
            raise CredentialsUnusable(f"no credentials for {rest} any more", hint=f"docker login {rest}")
        if kind == CREDENTIAL:
            return found.password or found.identity_token
        return found.username or _TOKEN_USER

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
