"""Undoing what a failed or interrupted change began; that even this fails is what the user must hear about."""

import logging
from collections.abc import Callable

from packager.core.errors import DrayError, InterruptedByUser

logger = logging.getLogger(__name__)
_AGAIN = "the next command on it finishes or undoes what was begun; `dray status` shows how it stands"


def undo_after(cause: BaseException, what: str, undoing: Callable[[], None]) -> None:
    """Undo; where that fails too, the cause says so.

    Args:
        cause: Why something is undone; raised by the caller afterwards.
        what: What is left when undoing fails: ``the candidate could not be removed``.

    Raises:
        InterruptedByUser: The change or its undoing was interrupted, and something is left.
    """
    try:
        undoing()
    except DrayError as error:
        logger.info("%s: %s", what, error.message)
        left = {"left_behind": error.as_dict()}
        if isinstance(cause, KeyboardInterrupt):
            raise InterruptedByUser(f"interrupted, and {what}: {error.message}", hint=_AGAIN, detail=left) from cause
        cause.add_note(f"{what}: {error.message}")
        if isinstance(cause, DrayError):
            cause.detail.update(left)
    except KeyboardInterrupt as again:
        first = {"cause": cause.as_dict()} if isinstance(cause, DrayError) else {}
        message = f"interrupted in the middle of undoing: {what}"
        raise InterruptedByUser(message, hint=_AGAIN, detail=first) from again
