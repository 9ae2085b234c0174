"""Shared access signatures: made and verified as IoT Hub does.

Source: "Control access to IoT Hub by using shared access signatures", Microsoft.
"""

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

HOST: Final = "rehearsal.azure-devices.net"
POLICY: Final = "iothubowner"
_SCHEME: Final = "SharedAccessSignature "
_LONGEST: Final = 4096


@dataclass(frozen=True, slots=True)
class Signature:
    """A token, taken apart.

    Attributes:
        resource: As it is signed, encoded for a URL.
        expiry: Seconds since 1970, as they are written.
    """

    resource: str
    signature: str
    expiry: str
    policy: str

    @classmethod
    def parse(cls, text: str) -> "Signature | None":
        """None for what is no token."""
        if not text.startswith(_SCHEME) or len(text) > _LONGEST:
            return None
        pairs = [pair.partition("=")[::2] for pair in text.removeprefix(_SCHEME).split("&")]
        fields = {name.strip(): value for name, value in pairs}
        if not {"sr", "sig", "se"} <= fields.keys() or len(fields) != len(pairs):
            return None
        return cls(fields["sr"], unquote(fields["sig"]), fields["se"], unquote(fields.get("skn", "")))

    def lasts(self) -> bool:
        """Whether its time has not come."""
        return self.expiry.isascii() and self.expiry.isdecimal() and int(self.expiry) > time.time()

    def made_with(self, key: str) -> bool:
        """Whether it was signed with a key, in base64."""
        right = sign(key, f"{self.resource}\n{self.expiry}".encode())
        return hmac.compare_digest(right.encode(), self.signature.encode())

    def covers(self, resource: str) -> bool:
        """Whether it is about a resource, or about what that is part of."""
        own, asked = unquote(self.resource).lower().rstrip("/"), resource.lower().rstrip("/")
        return asked == own or asked.startswith(f"{own}/")


def sign(key: str, content: bytes) -> str:
    """The signature, in base64.

    Args:
        key: In base64.
    """
    try:
        secret = base64.b64decode(key, validate=True)
    except binascii.Error:
        secret = key.encode()
    return base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()


def key_of(secret: str, *parts: str) -> str:
    """The key of an identity, derived from the stand-in's secret; the service's without parts."""
    if not parts:
        return base64.b64encode(secret.encode()).decode()
    content = "\n".join(parts).encode()
    return base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def connection_string(secret: str, host: str = HOST) -> str:
    """As the portal shows it."""
    return f"HostName={host};SharedAccessKeyName={POLICY};SharedAccessKey={key_of(secret)}"
