"""The container as it is asked for: the body of ``POST /containers/create``, a pure function.

Source: the Docker Engine API 1.41, "Create a container".
"""

from collections.abc import Mapping
from typing import Any, Final

from packager.core.artifact import Release
from targets.docker.settings import DockerSettings
from targets.kit.engine.devices import device_access
from targets.kit.engine.hardening import USER, limits, restrictions

# The runtime's own port inside the container. Source: the spec of the container.
PORT: Final = 8080
SECRETS: Final = "/run/secrets"
KEYS: Final = "api-keys"

NAME, MODEL, VERSION, PACKAGE, IMAGE, SETTINGS = (
    f"dray.{key}" for key in ("name", "model", "version", "package", "image", "settings")
)


def container_body(
    name: str, release: Release, image: str, settings: DockerSettings, *, host: str, port: str
) -> Mapping[str, Any]:
    """What creates the container: it may write to ``/tmp`` alone, and do nothing that serving does not need.

    Args:
        name: Of the deployment.
        image: As the engine knows it.
        port: The published one; empty lets the engine choose.
    """
    keys = {"DRAY_API_KEYS_FILE": f"{SECRETS}/{KEYS}"} if settings.api_keys else {}
    environment = {**settings.environment(), **keys}
    return {
        "Image": image,
        "User": USER,
        "Env": [f"{key}={value}" for key, value in sorted(environment.items())],
        "ExposedPorts": {f"{PORT}/tcp": {}},
        "Labels": labels(name, release, settings),
        "StopTimeout": max(1, round(settings.drain_timeout_s)),
        "HostConfig": {
            **restrictions(tmp_mib=settings.tmp_mib, log_files=3),
            "PortBindings": {f"{PORT}/tcp": [{"HostIp": host, "HostPort": port}]},
            "RestartPolicy": {"Name": settings.restart},
            **limits(settings.cpus, settings.memory_mib),
            **device_access(settings.devices, settings.groups, settings.gpus, settings.mounts),
            **({"Mounts": [{"Type": "volume", "Target": SECRETS}]} if settings.api_keys else {}),
        },
    }


def labels(name: str, release: Release, settings: DockerSettings) -> dict[str, str]:
    """What a colleague finds the deployment and its release by; references to secrets, never secrets."""
    manifest = release.package.manifest
    return {
        NAME: name,
        MODEL: manifest.name,
        VERSION: manifest.version,
        PACKAGE: release.package.digest,
        IMAGE: str(release.image),
        # Without the context: that is a name of this machine, and says nothing to a colleague's.
        SETTINGS: settings.model_dump_json(exclude_defaults=True, exclude={"context"}),
    }
