"""Azure Container Registry by the Azure account that is signed in; and the sources that every command asks.

Source: github.com/Azure/acr, ``docs/AAD-OAuth.md``: the account's token is exchanged at the registry itself for a
refresh token, which then stands as the password of a user without a name.
"""

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from packager.core.credentials import Credential, CredentialSource, DockerConfig, FirstOf
from packager.core.errors import CredentialsUnusable
from packager.core.http_client import is_loopback

logger = logging.getLogger(__name__)

_REGISTRY = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)?\.azurecr\.(io|cn|us)")
_SCOPE: Final = "https://containerregistry.azure.net/.default"
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_EXCHANGE_S: Final = 30.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class AzureRegistry(CredentialSource):
    """Registries of Azure, by the account's token.

    Attributes:
        account_token: The token of whoever is signed in; None where nobody is.
        matches: Whether a host is such a registry.
    """

    account_token: Callable[[], str | None]
    matches: Callable[[str], bool] = lambda host: bool(_REGISTRY.fullmatch(host))

    def credential(self, registry: str) -> Credential | None:
        """A refresh token of the registry; None for other registries, and where nobody is signed in."""
        if not self.matches(registry):
            return None
        token = self.account_token()
        return _exchanged(registry, token) if token else None


def registry_credentials(given: CredentialSource | None = None) -> CredentialSource:
    """What is given first, then Docker's configuration, then the Azure account."""
    sources: list[CredentialSource] = [given] if given else []
    return FirstOf((*sources, DockerConfig(), AzureRegistry(azure_account_token)))


def azure_account_token() -> str | None:
    """Of ``AZURE_ACCESS_TOKEN``, else of the default chain of azure-identity (``pip install "dray[azure]"``)."""
    if token := os.environ.get("AZURE_ACCESS_TOKEN"):
        return token
    try:
        from azure.core.exceptions import ClientAuthenticationError  # kept out of start-up, and optional
        from azure.identity import DefaultAzureCredential
    except ImportError:
        return None
    try:
        with DefaultAzureCredential() as account:
            return str(account.get_token(_SCOPE).token)
    except ClientAuthenticationError as error:
        # Registries may let anybody pull; one that does not says so itself.
        logger.info("nobody is signed in to Azure: %s", str(error).splitlines()[0])
        return None


def _exchanged(registry: str, token: str) -> Credential:
    import httpx  # kept out of start-up

    scheme = "http" if is_loopback(f"http://{registry}") else "https"
    form = {"grant_type": "access_token", "service": registry, "access_token": token}
    try:
        answer = httpx.post(f"{scheme}://{registry}/oauth2/exchange", data=form, timeout=_EXCHANGE_S)
        refresh_token = answer.json()["refresh_token"] if answer.status_code == _OK else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise CredentialsUnusable(
            f"{registry} did not exchange the Azure token: {type(error).__name__}", hint="check the registry's name"
        ) from error
    if refresh_token is None:
        raise CredentialsUnusable(
            f"{registry} does not take the Azure account's token ({answer.status_code})",
            hint="`az login` with an account that has the role AcrPull (to push: AcrPush) on it",
        )
    return Credential(_NOBODY, str(refresh_token), source="the Azure account")
