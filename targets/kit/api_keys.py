"""Keys that clients must show, by reference, and the one that we show ourselves."""

import logging

from packager.core.credentials import resolve
from packager.core.errors import CredentialsUnusable
from packager.core.protocols import Secrets

logger = logging.getLogger(__name__)


def secret_of(reference: str, secrets: Secrets) -> str:
    """What a reference stands for: as it was handed in, else what is there now.

    Raises:
        CredentialsUnusable: Nothing is.
    """
    return secrets[reference] if reference in secrets else resolve(reference)


def first_key(keys: str) -> str | None:
    """The key by which we ask ourselves: the first that is not a comment."""
    lines = (line.strip() for line in keys.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), None)


def own_key(reference: str | None) -> str | None:
    """The key to ask with; None where there is none, or where this machine does not have it."""
    keys = if_here(reference)
    return None if keys is None else first_key(keys)


def key_to_ask_with(reference: str | None) -> str | None:
    """The same for requests of a person, who is told why there is none."""
    key = own_key(reference)
    if reference is not None and key is None:
        logger.warning("the keys of %s cannot be read here: requests carry none", reference)
    return key


def if_here(reference: str | None) -> str | None:
    """What a reference stands for, where this machine has it."""
    if reference is None:
        return None
    try:
        return resolve(reference)
    except CredentialsUnusable as error:
        logger.info("asking without it: %s", error.message)
        return None
