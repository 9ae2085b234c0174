"""What a Docker engine's refusals mean, by its own words."""

from typing import Any, Final

from packager.core.errors import (
    ArchitectureMissing,
    DeploymentBusy,
    DeploymentFailed,
    DiskFull,
    DrayError,
    ImageMissing,
    PortInUse,
    PullDenied,
    RegistryError,
    RegistryUnreachable,
)
from packager.core.image import ImageRef

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class ContainerGone(DeploymentFailed):
    """The container or volume is not there any more."""


def refused_by_engine(error: Any, what: str, ref: ImageRef | None) -> DrayError:
    """What the engine's refusal means. Source: the engine's API, and the messages of moby 20.10 to 28."""
    words = " ".join(str(error.explanation or error).split())
    low = words.lower()
    if "port is already allocated" in low or "address already in use" in low:
        return PortInUse(f"the engine cannot publish the port: {words}", hint="choose another with --set port=N")
    if "no space left on device" in low:
        return DiskFull(f"the engine's disk is full: {words}", hint="docker system prune frees what nothing uses")
    if ref is not None:
        return pull_error(words, ref)
    if "exec format error" in low:
        hint = "build it for the engine's processor: dray image PACKAGE --platform linux/ARCH"
        return ArchitectureMissing(f"{what} is of an image for another processor: {words}", hint=hint)
    if "no such image" in low:
        return ImageMissing(f"the engine has no image for {what}: {words}", hint="deploy again")
    if error.status_code == _NOT_FOUND:
        return ContainerGone(f"{what} is gone: {words}", hint="deploy again")
    if error.status_code == _CONFLICT:
        hint = "wait until the other command has ended; `docker ps -a` shows the container"
        return DeploymentBusy(f"{what}: {words}", hint=hint)
    return DeploymentFailed(f"the engine refused {what}: {words}", hint="the engine's own words say why")


def pull_error(words: str, ref: ImageRef) -> DrayError:
    """What a refused pull means, in the words that the engine passes on."""
    low = words.lower()
    detail = {"image": str(ref), "engine": words}
    if any(
        sign in low for sign in ("unauthorized", "denied", "authentication required", "no basic auth", "403", "401")
    ):
        hint = f"docker login {ref.host}; a name that does not exist is often answered like this too"
        return PullDenied(f"{ref.host} does not let the engine pull {ref}: {words}", hint=hint, detail=detail)
    if any(sign in low for sign in ("not found", "manifest unknown", "no such image", "name unknown")):
        hint = "check the name, or build and push it: dray image PACKAGE --push"
        return ImageMissing(f"neither the engine nor {ref.host} has {ref}: {words}", hint=hint, detail=detail)
    if any(sign in low for sign in ("no such host", "connection refused", "timeout", "dial tcp", "no route", "eof")):
        hint = "it is the engine's machine that must reach the registry"
        return RegistryUnreachable(f"the engine cannot reach {ref.host}: {words}", hint=hint, detail=detail)
    return RegistryError(
        f"the engine cannot pull {ref}: {words}", hint="the registry's own words say why", detail=detail
    )
