"""What stands behind the references of a body, at the moment when it is sent."""

from dataclasses import dataclass, field

from packager.core.credentials import Credential, CredentialSource
from packager.core.errors import CredentialsUnusable
from packager.core.image import ImageRef
from packager.core.protocols import Secrets
from targets.aci.body import PULL
from targets.aci.settings import AciSettings
from targets.kit.api_keys import secret_of

# A token of an Azure account stands as the password of this user. Source: github.com/Azure/acr, "AAD-OAuth".
_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a name, not a secret


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
        return _password(found) if kind == PULL else found.username or _TOKEN_USER

    def pulls(self, image: ImageRef, settings: AciSettings) -> bool:
        """Whether this machine's credentials for an image's registry are to be sent: there are some, and no others."""
        if settings.registry_identity or settings.registry_username:
            return False
        return self.credentials.credential(image.host) is not None


def _password(credential: Credential) -> str:
    return credential.password or credential.identity_token
