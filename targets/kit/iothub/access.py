"""Which IoT hub is asked, and by which key: connection strings and the tokens that are made from them.

Source: learn.microsoft.com, "Control access to IoT Hub with shared access signatures".
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

from packager.core.errors import ConfigurationError, NotSignedIn

VARIABLE: Final = "IOTHUB_CONNECTION_STRING"
_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9](:\d+)?")
# A token of an hour, made again well before that is over.
_LASTS_S: Final = 3600
_FRESH_S: Final = 1800
_GET: Final = "az iot hub connection-string show --hub-name NAME --policy-name iothubowner"


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A policy's key, which signs tokens.

    Attributes:
        policy: Its name, such as ``iothubowner``.
    """

    policy: str
    key: bytes = field(repr=False)

    def token(self, resource: str, expires: int) -> str:
        """A token for a resource.

        Args:
            resource: Such as the hub's host name.
            expires: Seconds since 1970.
        """
        encoded = quote_plus(resource)
        digest = hmac.new(self.key, f"{encoded}\n{expires}".encode(), hashlib.sha256).digest()
        signature = quote(base64.b64encode(digest).decode(), safe="")
        return f"SharedAccessSignature sr={encoded}&sig={signature}&se={expires}&skn={quote(self.policy, safe='')}"


@dataclass(frozen=True, slots=True)
class HubAccess:
    """Access to one hub.

    Attributes:
        host: Its name, which tokens are for.
        base_url: Where requests go.
        ca_file: Authority of the end point's certificate; None for the usual ones.
        poll_s: Between two looks at what is under way.
        device: Where nothing else is said.
        clock: Seconds since 1970.
        before: Called with method and path before each request.
    """

    host: str
    base_url: str
    key: SharedKey = field(repr=False)
    ca_file: Path | None = None
    poll_s: float = 2.0
    device: str | None = None
    clock: Callable[[], float] = field(default=time.time, repr=False)
    before: Callable[[str, str], None] | None = field(default=None, repr=False)

    def token(self) -> str:
        """What a request carries in ``Authorization``; the same one for a while."""
        expires = int(self.clock()) // _FRESH_S * _FRESH_S + _LASTS_S
        return self.key.token(self.host, expires)


def connection_access(
    text: str,
    *,
    base_url: str | None = None,
    ca_file: Path | None = None,
    poll_s: float = 2.0,
    device: str | None = None,
) -> HubAccess:
    """Access as a connection string of a hub's shared access policy gives it.

    Args:
        text: ``HostName=…;SharedAccessKeyName=…;SharedAccessKey=…``.
        base_url: Where requests go in place of the hub itself, for a stand-in.
        device: Where nothing else is said.

    Raises:
        ConfigurationError: It is no such string; it is not shown, for it holds a key.
    """
    parts = dict(pair.split("=", 1) for pair in text.strip().split(";") if "=" in pair)
    host, policy, key = parts.get("HostName"), parts.get("SharedAccessKeyName"), parts.get("SharedAccessKey")
    if "DeviceId" in parts:
        raise _unusable("it is that of a device, and deploying needs a service policy of the hub")
    if not host or not policy or not key:
        absent = [name for name in ("HostName", "SharedAccessKeyName", "SharedAccessKey") if not parts.get(name)]
        raise _unusable(f"it has no {absent[0]}")
    if not _HOST.fullmatch(host):
        raise _unusable(f"{host!r} is no host name")
    try:
        secret = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unusable("its SharedAccessKey is not base64") from error
    where = base_url.rstrip("/") if base_url else f"https://{host}"
    return HubAccess(host, where, SharedKey(policy, secret), ca_file=ca_file, poll_s=poll_s, device=device)


def hub_access(environ: Mapping[str, str] | None = None) -> HubAccess:
    """Access for whoever runs this command.

    Raises:
        NotSignedIn: Nothing names a hub.
        ConfigurationError: What does cannot be used.
    """
    text = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not text.strip():
        hint = f'export {VARIABLE}="$({_GET} -o tsv)"; to try without an account: --rehearse'
        raise NotSignedIn("nothing says which IoT hub is meant", hint=hint)
    return connection_access(text)


def hub_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether anything here names a hub."""
    return bool((os.environ if environ is None else environ).get(VARIABLE, "").strip())


def _unusable(why: str) -> ConfigurationError:
    return ConfigurationError(f"{VARIABLE} cannot be used: {why}", hint=_GET)
