"""Python environments for conversions that this one cannot do: made once with uv, kept, checked, used again."""

from packager.environments.cache import Environment, at_path, environments_home, find, listed, named
from packager.environments.make import make

__all__ = ["Environment", "at_path", "environments_home", "find", "listed", "make", "named"]
