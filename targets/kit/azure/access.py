"""Who asks Azure's management API, where it is, and how what it makes is reached."""

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from packager.core.errors import ConfigurationError, NotSignedIn
from packager.core.extras import require_extra
from packager.core.http_client import is_loopback

logger = logging.getLogger(__name__)

PUBLIC_CLOUD: Final = "https://management.azure.com"
# Where people of other clouds sign in, by the host of their management API. Source: learn.microsoft.com, "Azure
# national clouds" and azure-identity's AzureAuthorityHosts.
_AUTHORITIES: Final = {
    "management.chinacloudapi.cn": "https://login.chinacloudapi.cn",
    "management.usgovcloudapi.net": "https://login.microsoftonline.us",
}
_SIGN_IN: Final = "az login, or a token in AZURE_ACCESS_TOKEN; to try without an account: --rehearse"
_A_YEAR_S: Final = 31_536_000


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that somebody else looks after, as the SDK's credentials are asked for it."""

    token: str = field(repr=False)

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """The token; when it ends is not known, and the server says so."""
        from azure.core.credentials import AccessToken

        return AccessToken(self.token, int(time.time()) + _A_YEAR_S)


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Access to one subscription.

    Attributes:
        endpoint: Of the management API, HTTPS.
        credential: With ``get_token``, as azure-identity's have it.
        ca_file: Authority of the endpoint's certificate; None for the usual ones.
        poll_s: Between two questions about what is under way; the server's Retry-After comes first.
        reach: How what is deployed is reached: by its name, or by its address where no name server knows the name.
        resource_group, region: Where nothing else is said.
        looks_everywhere: Whether deployments are looked for in all resource groups where no setting names one.
        transport: Makes what carries requests, instead of the SDK's own.
    """

    endpoint: str
    subscription: str
    credential: Any = field(repr=False)
    ca_file: Path | None = None
    poll_s: float = 2.0
    reach: Literal["fqdn", "ip"] = "fqdn"
    resource_group: str | None = None
    region: str | None = None
    looks_everywhere: bool = False
    transport: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def scope(self) -> str:
        """What a token must be for: this endpoint, so that no other can use what it is shown."""
        return f"{self.endpoint}/.default"

    def client_options(self) -> dict[str, Any]:
        """What every client of the SDK is made with, but for its subscription."""
        from azure.core.pipeline.policies import SansIOHTTPPolicy

        from targets.kit.azure.retries import PatientRetry

        transport = {"transport": self.transport()} if self.transport else {}
        return {
            "credential": self.credential,
            "base_url": self.endpoint,
            "credential_scopes": [self.scope],
            "connection_verify": str(self.ca_file) if self.ca_file else True,
            "connection_timeout": 10,
            "read_timeout": 120,
            "polling_interval": self.poll_s,
            # No proxy of the environment leads to this machine itself.
            "use_env_settings": not is_loopback(self.endpoint),
            # The SDK's own tells twenty lines a request; the transport's log has one.
            "http_logging_policy": SansIOHTTPPolicy(),
            "retry_policy": PatientRetry(backoff_s=min(0.8, self.poll_s)),
            **transport,
        }


def azure_access(subscription: str | None = None, environ: Mapping[str, str] | None = None) -> AzureAccess:
    """Access for whoever runs this command.

    Args:
        subscription: Of the settings; else ``AZURE_SUBSCRIPTION_ID``, else the default one of ``az``.

    Raises:
        EnvironmentMissing: The SDK is not installed.
        NotSignedIn: Nothing says which subscription.
        ConfigurationError: ``AZURE_ARM_ENDPOINT`` is no HTTPS address.
    """
    require_extra("azure")
    environ = os.environ if environ is None else environ
    endpoint = (environ.get("AZURE_ARM_ENDPOINT") or PUBLIC_CLOUD).rstrip("/")
    if urlsplit(endpoint).scheme != "https" or not urlsplit(endpoint).hostname:
        raise ConfigurationError(
            f"AZURE_ARM_ENDPOINT is no HTTPS address: {endpoint!r}", hint=f"for example {PUBLIC_CLOUD}"
        )
    chosen = subscription or environ.get("AZURE_SUBSCRIPTION_ID") or default_subscription(environ)
    if not chosen:
        raise NotSignedIn("nothing says which Azure subscription is meant", hint=f"AZURE_SUBSCRIPTION_ID; {_SIGN_IN}")
    return AzureAccess(
        endpoint,
        chosen,
        _credential(endpoint, environ),
        ca_file=_authority(endpoint, environ),
        resource_group=environ.get("AZURE_DEFAULTS_GROUP"),
        region=environ.get("AZURE_DEFAULTS_LOCATION"),
    )


def account_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether anything here names an Azure subscription; costs a look at one file and loads no SDK."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("AZURE_SUBSCRIPTION_ID")) or default_subscription(environ) is not None


def account_implied(environ: Mapping[str, str] | None = None) -> bool:
    """Whether nobody named an account for this tool: what there is belongs to Azure's own command line."""
    environ = os.environ if environ is None else environ
    return not any(environ.get(name) for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_ACCESS_TOKEN"))


def default_subscription(environ: Mapping[str, str]) -> str | None:
    """The subscription that ``az account set`` chose; None where nobody is signed in with ``az``."""
    folder = environ.get("AZURE_CONFIG_DIR") or str(Path.home() / ".azure")
    try:
        # az writes a byte order mark in front.
        document = json.loads((Path(folder) / "azureProfile.json").read_text(encoding="utf-8-sig"))
        subscriptions = document["subscriptions"]
        return next((str(each["id"]) for each in subscriptions if each.get("isDefault")), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _authority(endpoint: str, environ: Mapping[str, str]) -> Path | None:
    """Whom to trust on this machine itself, where nothing else of the environment counts; elsewhere the SDK looks."""
    named = next((environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if environ.get(name)), None)
    return Path(named) if named and is_loopback(endpoint) else None


def _credential(endpoint: str, environ: Mapping[str, str]) -> Any:
    if token := environ.get("AZURE_ACCESS_TOKEN"):
        return FixedToken(token)
    from azure.identity import DefaultAzureCredential

    # What the chain warns of, in many lines, it raises as well.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    authority = _AUTHORITIES.get(urlsplit(endpoint).hostname or "")
    return DefaultAzureCredential(**({"authority": authority} if authority else {}))
