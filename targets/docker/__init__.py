"""The target ``docker``: a container of a Docker engine, of this machine or another."""

from targets.docker.settings import DockerSettings
from targets.docker.target import DockerTarget

__all__ = ["DockerSettings", "DockerTarget"]
