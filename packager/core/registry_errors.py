"""What talking to a container registry can fail at: exit 4. Import them from ``packager.core.errors``."""

from packager.core.image_errors import ImageError


class RegistryError(ImageError):
    """The registry refused the request, or did not answer as the distribution specification has it."""

    code = "E-REGISTRY"


class PullDenied(RegistryError):
    """The registry does not let these credentials, or nobody without any, read the image."""

    code = "E-IMAGE-PULL-AUTH"


class PushDenied(RegistryError):
    """The registry does not let these credentials, or nobody without any, write the image."""

    code = "E-IMAGE-PUSH-AUTH"


class RegistryThrottled(RegistryError):
    """The registry takes no more requests for now (429), and asks to wait longer than anybody here does."""

    code = "E-REGISTRY-THROTTLED"


class RegistryUnavailable(RegistryError):
    """The registry answered with an error of its own (5xx), again and again."""

    code = "E-REGISTRY-UNAVAILABLE"


class RegistryCut(RegistryError):
    """The connection ended in the middle of a transfer, again and again."""

    code = "E-REGISTRY-CUT"


class RegistryUnreachable(RegistryError):
    """Nobody answers at the registry's address: name, route, port, proxy or time."""

    code = "E-REGISTRY-UNREACHABLE"


class RegistryUntrusted(RegistryError):
    """The registry's certificate is not one that this machine trusts, or it speaks no TLS."""

    code = "E-REGISTRY-TLS"


class CredentialsUnusable(RegistryError):
    """Credentials are configured for the registry and cannot be read: file, helper, reference or account."""

    code = "E-REGISTRY-CREDENTIALS"
