"""The target ``local``: the runtime as a background process of this machine."""

from targets.local.settings import LocalSettings
from targets.local.target import LocalTarget

__all__ = ["LocalSettings", "LocalTarget"]
