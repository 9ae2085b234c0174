"""Why a release does not serve, in the words that all targets share."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from packager.core.errors import ArchitectureMissing, NotReady, OutOfMemory, ProcessCrash
from packager.core.http_client import ServerState

# What the kernel's end of a process that took too much memory looks like: 128 and SIGKILL.
KILLED: Final = 137
_FORMAT_ERROR: Final = "exec format error"
_LOG_HINT: Final = "the last lines of its log are in the detail"


def says_format_error(words: str) -> bool:
    """Whether a log or a state says that its program is for another processor."""
    return _FORMAT_ERROR in words.lower()


def out_of_memory(limit: str | None, setting: str, detail: Mapping[str, Any]) -> OutOfMemory:
    """It was ended for its memory.

    Args:
        limit: With its unit; None where the machine itself had no more.
        setting: That would raise the limit.
    """
    message = f"the runtime took more than its {limit} of memory" if limit else "the machine has no memory left"
    hint = f"raise --set {setting}=N"
    return OutOfMemory(message, hint=hint, detail=detail)


def wrong_processor(
    owner: str, platform: str, detail: Mapping[str, Any], *, hint: str | None = None
) -> ArchitectureMissing:
    """Its program is for another processor than its owner's."""
    message = f"the image is for another processor than {owner}'s: {_FORMAT_ERROR}"
    hint = hint or f"build it for {owner}'s: dray image PACKAGE --platform {platform}"
    return ArchitectureMissing(message, hint=hint, detail=detail)


def ended(status: str, log: Sequence[str], detail: Mapping[str, Any], *, hint: str = _LOG_HINT) -> ProcessCrash:
    """It ended before it was ready.

    Args:
        status: How, as ``with exit status 1``; empty where that is not known.
    """
    words = f": {log[-1].strip()}" if log else ", and logged nothing"
    how = f" {status}" if status else ""
    return ProcessCrash(f"the runtime ended{how} before it was ready{words}", hint=hint, detail=detail)


def never_ready(state: ServerState, log: Sequence[str], **more: Any) -> NotReady:
    """It says itself that it never will be ready.

    Args:
        more: For the detail.
    """
    code = f" ({state.error_code})" if state.error_code else ""
    return NotReady(
        f"the runtime will not become ready{code}: {state.message or 'it does not say why'}",
        hint=state.hint or _LOG_HINT,
        detail={"error_code": state.error_code, "detail": state.detail, "log": list(log), **more},
    )


def late(how: str, log: Sequence[str], **more: Any) -> NotReady:
    """Its time is up.

    Args:
        how: It goes, as ``within 30 s``.
        more: For the detail.
    """
    hint = f"raise --timeout; {_LOG_HINT}"
    return NotReady(f"the runtime was not ready {how}", hint=hint, detail={"log": list(log), **more})
