"""A package brought into a slot that does not serve, and checked there; it is loaded by nobody yet."""

import contextlib
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from runtime.contract.errors import DrayError, PackageDamaged
from runtime.contract.package import VerifiedPackage, read_package
from runtime.edge.fetching import Patience, fetch
from runtime.edge.slots import NAMES, Slots, claim_of, writing
from runtime.edge.unpacking import copy, unpack
from runtime.edge.wanted import Archive, WantedPackage
from runtime.engine.platforms import simulation_here

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A package that a slot holds.

    Attributes:
        came_bytes: What had to come for it; none where the slot held it already.
    """

    slot: str
    package: VerifiedPackage
    came_bytes: int


def stage(
    wanted: WantedPackage, slots: Slots, served: Collection[Path], stop: threading.Event, patience: Patience
) -> Staged:
    """The wanted package in a slot, every byte of it verified; blocks, so it belongs in a thread.

    Args:
        served: Folders of the packages that serve: those slots are left alone.
        stop: Set when nobody wants it any more.

    Raises:
        DrayError: Why it cannot be had; the slot is empty then.
        Stopped: As told.
    """
    free = [name for name in NAMES if slots.path(name) not in served]
    if (found := _found(wanted, slots, free)) is not None:
        return found
    slot = free[0]
    made = slots.being_made(slot)
    slots.clear(slot)
    try:
        with writing():
            came_bytes = _bring(wanted, slots, made, stop, patience)
            package = read_package(made)
        if package.digest != wanted.digest:
            raise PackageDamaged(
                f"the package that came has the digest {package.digest}, {wanted.digest} was named",
                hint="name the digest that `dray package` printed",
            )
        with writing():
            slots.fill(slot)
            return Staged(slot, read_package(slots.path(slot)), came_bytes)
    except BaseException:
        with contextlib.suppress(DrayError):
            slots.clear(slot)
        raise


def _found(wanted: WantedPackage, slots: Slots, free: list[str]) -> Staged | None:
    """The slot that holds it already, from before."""
    for name in free:
        claim = claim_of(slots.path(name))
        if claim is None or claim.digest != wanted.digest:
            continue
        try:
            package = read_package(slots.path(name))
            if package.manifest.circuit is None or simulation_here(package) is not None:
                return Staged(name, package, 0)
            slots.clear(name)  # the same content may come with a simulation for this machine
        except (DrayError, OSError):
            logger.warning("what slot %s holds is damaged", name)
            slots.clear(name)
    return None


def _bring(wanted: WantedPackage, slots: Slots, folder: Path, stop: threading.Event, patience: Patience) -> int:
    """Its files into a folder. Bytes that came."""
    if isinstance(wanted.source, Path):
        return copy(wanted.source, folder, slots.need)
    archive: Archive = wanted.source
    slots.begin_download(archive.sha256)
    part = slots.download
    # The archive, and what is in it.
    slots.need(2 * archive.size_bytes - (part.stat().st_size if part.exists() else 0))
    came_bytes = fetch(archive, part, stop.is_set, stop.wait, patience)
    try:
        unpack(part, folder, slots.need)
    finally:
        slots.end_download()
    return came_bytes
