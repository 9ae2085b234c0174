"""What stands behind references, when it is sent: secrets, and a registry's credentials of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from packager.core.credentials import CredentialSource, resolve
from packager.core.deployment import Finding, Findings
from packager.core.errors import CredentialsUnusable
from packager.core.protocols import Secrets
from targets.kit.api_keys import secret_of

# Kinds of references that stand for this machine's credentials for a registry; no user can write them.
PULL: Final = "credential"
PULL_USER: Final = f"{PULL}-user"
# A token of an Azure account stands as the password of this user. Source: github.com/Azure/acr, "AAD-OAuth".
_TOKEN_USER: Final = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class ReferencedValues:
    """Looks references up."""

    secrets: Secrets = field(repr=False)
    credentials: CredentialSource = field(repr=False)

    def __call__(self, reference: str) -> str:
        """The value.

        Raises:
            CredentialsUnusable: There is none.
        """
        kind, _, rest = reference.partition(":")
        if kind not in (PULL, PULL_USER):
            return secret_of(reference, self.secrets)
        found = self.credentials.credential(rest)
        if found is None:
            raise CredentialsUnusable(f"no credentials for {rest} any more", hint=f"docker login {rest}")
        if kind == PULL:
            return found.password or found.identity_token
        return found.username or _TOKEN_USER


def looked_up(references: Mapping[str, str]) -> tuple[Mapping[str, str], Findings]:
    """What stands behind references of settings on this machine, by their setting, and those that have nothing."""
    values, found = dict[str, str](), []
    for name, reference in references.items():
        try:
            values[name] = resolve(reference)
        except CredentialsUnusable as error:
            message = f"{name}={reference} cannot be read here: {error.message}"
            found.append(Finding(error.code, message, f"{error.hint}; planning needs no secret, deploying does"))
    return values, tuple(found)
