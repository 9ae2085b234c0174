"""Names for a deployment's things at the hub: its module, its routes, its configurations, its tag."""

import hashlib
import re
from typing import Final

from packager.core.image import ImageRef

# What a container engine, and a twin's key, take as well.
_MODULE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LONGEST: Final = 64
_HASH: Final = 6
_SYSTEM: Final = frozenset({"edgeAgent", "edgeHub"})
PREFIX: Final = "dray"


def module_name(name: str) -> str:
    """The module of a deployment; a name that does not fit keeps what fits of it, and gets a hash of the whole."""
    if _MODULE.fullmatch(name) and len(name) <= _LONGEST and name not in _SYSTEM:
        return name
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "m"
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH]
    return f"{slug[: _LONGEST - _HASH - 1].rstrip('-_')}-{digest}"


def route_name(module: str, what: str) -> str:
    """A route of a module's deployment."""
    return f"{PREFIX}-{module}-{what}"


def configuration_name(name: str, serial: int) -> str:
    """The layered deployment of one release; its content can never be changed, so each release has one of its own."""
    module = module_name(name)
    lower = module.lower()
    digest = "" if lower == module else f"-{hashlib.sha256(module.encode()).hexdigest()[:_HASH]}"
    return f"{PREFIX}-{lower}{digest}-{serial}"


def credentials_name(image: ImageRef) -> str:
    """Under which an image's registry stands among the device's credentials."""
    return f"{PREFIX}-{re.sub(r'[^A-Za-z0-9-]+', '-', image.host)}"


def volume_name(module: str) -> str:
    """The volume for what must outlive a module's container."""
    return f"{PREFIX}-{module}"
