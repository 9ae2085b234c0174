"""Why a module does not run, by what the device's agent reports of it and by its last words.

Source: learn.microsoft.com, "Properties of the IoT Edge agent and IoT Edge hub module twins", the agent's reported
properties; the words are those of the agent (github.com/Azure/iotedge, edge-agent) and of container engines.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from packager.core.errors import (
    ArchitectureMissing,
    DeploymentFailed,
    DrayError,
    ImageMissing,
    ManifestRefused,
    PullDenied,
    RegistryUnavailable,
)
from packager.core.image import Platform
from targets.iot_edge.module import Json, Wanted, create_options, exact, from_pieces
from targets.iot_edge.state import platform_in
from targets.kit import endings
from targets.kit.iothub.hub import AGENT, Hub

logger = logging.getLogger(__name__)
TAIL: Final = 20
_LOG_S: Final = 15.0
_OK: Final = 200
INVALID: Final = (400, 412)
_ENDED: Final = ("backoff", "failed", "dead")
_NEVER: Final = "0001-01-01"
_DENIED: Final = ("unauthorized", "authentication required", "access denied", "denied:", "forbidden")
_MISSING: Final = ("not found", "notfound", "manifest unknown", "does not exist", "name unknown")
_PLATFORM: Final = ("no matching manifest", "does not match the detected host platform", "no match for platform")
_PULLING: Final = ("pull", "image", "manifest", "registry")


def is_ours(reported: Mapping[str, Any], wanted: Wanted) -> bool:
    """Whether what the agent reports is of the release's container, and not of one before it."""
    settings = reported.get("settings") or {}
    if str(settings.get("image")) != exact(wanted.image):
        return False
    said = from_pieces(settings)
    return (not said or said == create_options(wanted)) and reported.get("version") in (None, wanted.served.version)


def cause_of(
    hub: Hub, device: str, wanted: Wanted, agent: Json, *, applied: bool, ended_before: str
) -> DrayError | None:
    """The cause, where there is one for certain.

    Args:
        agent: Reported properties of the device's agent.
        applied: Whether they are about the present manifest.
        ended_before: When the module's container had last ended before this change.
    """
    status, found = agent.get("lastDesiredStatus") or {}, (agent.get("modules") or {}).get(wanted.module) or {}
    code, said = int(status.get("code") or _OK), str(status.get("description") or "")
    if applied and code in INVALID:
        return ManifestRefused(
            f"the agent of device {device!r} does not take the manifest: {said or code}",
            hint="`dray plan -o json` shows what was sent",
            detail={"code": code, "description": said},
        )
    ours = is_ours(found, wanted)
    if ours and (ended := _ended(hub, device, wanted, found, ended_before, platform_in(agent))):
        return ended
    words = _words_about(wanted, agent, applied=applied)
    return next(filter(None, (pull_failure(each, device, wanted) for each in words)), None)


def pull_never_ended(device: str, wanted: Wanted, agent: Json, *, applied: bool) -> DrayError | None:
    """What keeps the device from pulling the image, and may pass by itself; None where that is not what it says."""
    for each in _words_about(wanted, agent, applied=applied):
        if "pull" in each.lower():
            image = exact(wanted.image)
            return RegistryUnavailable(
                f"device {device!r} cannot pull {image}: {' '.join(each.split())[:400]}",
                hint="does the device reach the registry? the same command again tries anew; --timeout waits longer",
                detail={"image": image, "description": each},
            )
    return None


def _words_about(wanted: Wanted, agent: Json, *, applied: bool) -> tuple[str, ...]:
    """What the agent says of a module that does not run."""
    status, found = agent.get("lastDesiredStatus") or {}, (agent.get("modules") or {}).get(wanted.module) or {}
    code, said = int(status.get("code") or _OK), str(status.get("description") or "")
    own = str(found.get("statusDescription") or "") if not _runs(found) else ""
    of_all = said if applied and code != _OK and _is_about(said, wanted, agent) else ""
    return tuple(filter(None, (own, of_all)))


def pull_failure(said: str, device: str, wanted: Wanted) -> DrayError | None:
    """The meaning of the agent's words about an image; None for words that say nothing for certain."""
    words = said.lower()
    if not any(each in words for each in _PULLING):
        return None
    image, detail = exact(wanted.image), {"image": exact(wanted.image), "description": said}
    message = f"device {device!r} cannot pull {image}: {' '.join(said.split())[:400]}"
    if any(each in words for each in _PLATFORM) or endings.says_format_error(words):
        return ArchitectureMissing(message, hint="build the image for the device's platform too", detail=detail)
    if any(each in words for each in _DENIED):
        hint = (
            "give the device credentials that may pull this repository: --set registry_username= and registry_password="
        )
        return PullDenied(message, hint=hint, detail=detail)
    if any(each in words for each in _MISSING):
        return ImageMissing(message, hint="does the device reach the registry under this name?", detail=detail)
    return None


def log_of(hub: Hub, device: str, module: str, *, tail: int | None = TAIL) -> list[str]:
    """Last lines of a module's log, which the device's agent gives.

    Raises:
        DeviceOffline, DeploymentFailed: It does not.
    """
    limit = {"tail": tail} if tail is not None else {}
    payload = {
        "schemaVersion": "1.0",
        "items": [{"id": f"^{module}$", "filter": limit}],
        "encoding": "none",
        "contentType": "text",
    }
    status, answer = hub.method(device, AGENT, "GetModuleLogs", payload, timeout_s=_LOG_S)
    if status != _OK:
        raise DeploymentFailed(
            f"the agent of device {device!r} gives no log of module {module!r}: {answer!r}",
            hint=f"on the device: iotedge logs {module}",
        )
    items = answer if isinstance(answer, list) else []
    return [line for item in items for line in str(item.get("payload") or "").splitlines()]


def log_if_any(hub: Hub, device: str, module: str) -> list[str]:
    """The same; none where it cannot be had, for a cause is more than its log."""
    try:
        return log_of(hub, device, module)
    except DrayError as error:
        logger.info("no log of %s: %s", module, error.message)
        return []


def last_end(found: Mapping[str, Any]) -> str:
    """When a module's container last ended; empty where none has."""
    said = str(found.get("lastExitTimeUtc") or "")
    return "" if said.startswith(_NEVER) else said


def _ended(
    hub: Hub, device: str, wanted: Wanted, found: Json, ended_before: str, platform: Platform | None
) -> DrayError | None:
    ends, status = last_end(found), found.get("exitCode")
    again = ends not in ("", ended_before) and status not in (None, 0)
    if str(found.get("runtimeStatus")) not in _ENDED and not again:
        return None
    if not again and ends in ("", ended_before):
        return None  # it never began: an image that cannot be had
    said = str(found.get("statusDescription") or "")
    log = log_if_any(hub, device, wanted.module)
    detail = {
        "exit_status": status,
        "log": log,
        "device": device,
        "description": said,
        "restarts": found.get("restartCount"),
    }
    if status == endings.KILLED or "oom" in said.lower():
        limit = wanted.settings.memory_mib
        return endings.out_of_memory(f"{limit} MiB" if limit else None, "memory_mib", detail)
    if endings.says_format_error(" ".join((*log, said))):
        return endings.wrong_processor("the device", str(platform or "linux/arm64"), detail)
    return endings.ended(f"with exit status {status}", log, detail)


def _is_about(said: str, wanted: Wanted, agent: Json) -> bool:
    """Whether what the agent says of the whole manifest is about this module: it names it, or all others run."""
    named = wanted.module in said or wanted.image.repository in said
    others = [each for name, each in (agent.get("modules") or {}).items() if name != wanted.module]
    return named or all(map(_runs, others))


def _runs(found: Mapping[str, Any]) -> bool:
    return str(found.get("runtimeStatus")) == "running"
