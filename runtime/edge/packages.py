"""The package that the twin asks for: fetched into the free slot, checked, tested, and then served in one step.

Whatever goes wrong is told, and what served before serves on. Messages that a model has begun with end with it: they
hold it, whatever serves by then.
"""

import asyncio
import logging
import random
import threading
import time
from typing import Any, Final

from runtime.app import unforeseen
from runtime.contract.errors import DrayError, PackageDamaged
from runtime.contract.package import VerifiedPackage
from runtime.edge.fetching import Patience, Stopped
from runtime.edge.fitting import check_fits, place_for
from runtime.edge.slots import NAMES, Active, Slots, claim_of, writing
from runtime.edge.staging import stage
from runtime.edge.wanted import WantedPackage
from runtime.engine.repository import Slot
from runtime.errors import FetchInterrupted, PackageDeadly
from runtime.routes.serving import Serving

logger = logging.getLogger(__name__)

_POLL_S: Final = 0.05
# What could not be fetched for the network's sake is tried again, after about so long.
_AGAIN_S: Final = 600.0
_LONGEST: Final = 1000


class Packages:
    """Brings packages into service, one after the other. Belongs to the event loop's thread.

    Attributes:
        report: How the package that is asked for stands; None where none is.
    """

    def __init__(self, serving: Serving, slots: Slots, patience: Patience | None = None) -> None:
        self._serving, self._repository, self._slots = serving, serving.repository, slots
        self._patience = patience or Patience()
        self._wanted: WantedPackage | None = None
        self._told = False
        self._changed, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._stop = threading.Event()
        self._error: DrayError | None = None
        self._fell_back = ""
        self._on_trial = False
        self.report: dict[str, Any] | None = None
        self._resume()

    def want(self, wanted: WantedPackage | None) -> None:
        """The twin asks for this package, or for what the image holds."""
        if self._told and wanted == self._wanted:
            return
        self._told, self._wanted = True, wanted
        self._begin()

    async def retry(self) -> None:
        """Try once more what failed.

        Raises:
            DrayError: It failed again.
        """
        if self._error is None:
            return
        await asyncio.to_thread(self._slots.end_trial)
        self._begin()
        await self._idle.wait()
        if self._error is not None:
            raise self._error

    async def run(self) -> None:
        """For ever: serve what is asked for."""
        while self._repository.state == "starting":
            await asyncio.sleep(_POLL_S)
        await self._begun()
        while True:
            await self._until_changed()
            self._changed.clear()
            self._stop = threading.Event()
            try:
                await self._serve(self._wanted)
            finally:
                if not self._changed.is_set():
                    self._idle.set()

    def close(self) -> None:
        """Give up what is being fetched; the next process goes on with it."""
        self._stop.set()
        self._end_trial()

    def _begin(self) -> None:
        self._idle.clear()
        self._stop.set()
        self._changed.set()

    async def _until_changed(self) -> None:
        passing = isinstance(self._error, FetchInterrupted)
        again_s = random.uniform(0.5, 1.5) * _AGAIN_S  # noqa: S311 - no secret; a fleet does not come at once
        try:
            async with asyncio.timeout(again_s if passing else None):
                await self._changed.wait()
        except TimeoutError:
            logger.info("the package is tried again")

    # --- at the start

    def _resume(self) -> None:
        """Before anything is loaded: what served before this process does so again."""
        active = self._slots.active
        if active is None:
            return
        try:
            at = self._of_this_image(active)
            if at is None:
                logger.info("the image is another one: its own package serves")
                self._deactivate()
                return
            self._check_slot(active)
            self._begin_trial(active.digest)
        except (PackageDeadly, PackageDamaged) as error:
            self._setback(active.digest, error)
            self._deactivate()
            return
        except DrayError as error:  # a folder that cannot be written can be read
            logger.warning("slots: %s", error.message)
        if at is not None:
            self._repository.prefer(at, self._slots.path(active.slot))

    def _check_slot(self, active: Active) -> None:
        """It says to hold what was put there; whether it does, is looked at when it is read."""
        claim = claim_of(self._slots.path(active.slot))
        if claim is None or claim.digest != active.digest:
            raise PackageDamaged(
                f"slot {active.slot} does not hold the package {active.digest}, which was put there",
                hint="is the volume another one, or its disk damaged?",
            )

    def _of_this_image(self, active: Active) -> int | None:
        for at, path in enumerate(self._repository.paths):
            claim = claim_of(path)
            if (claim.digest if claim else "") == active.base and (claim is None or claim.model == active.model):
                return at
        return None

    async def _begun(self) -> None:
        """The models are loaded, or failed: how it went."""
        await asyncio.to_thread(self._end_trial)
        active = self._slots.active
        if active is None:
            return
        back = next((slot.setback for slot in self._repository.slots if slot.setback is not None), None)
        if back is None:
            self.report = self._active(active.digest)
            return
        self._setback(active.digest, back)
        await asyncio.to_thread(self._deactivate)

    def _deactivate(self) -> None:
        """From the next start on the image's own package serves; where that cannot be noted, it is found out again."""
        try:
            self._slots.activate(None)
        except DrayError as error:
            logger.warning("slots: %s", error.message)

    def _setback(self, digest: str, error: DrayError) -> None:
        logger.error("the image's own package serves", extra={"fields": {"error": error.message}})
        self._fell_back = error.message[:_LONGEST]
        self._fail(digest, error)

    # --- one package

    async def _serve(self, wanted: WantedPackage | None) -> None:
        digest = wanted.digest if wanted is not None else None
        try:
            if wanted is None:
                await self._go_back()
            elif not self._serves(wanted.digest):
                await self._bring(wanted)
            elif self.report is None or self.report["state"] != "active":
                self.report = self._active(wanted.digest)
            self._error, self._fell_back = None, ""
        except Stopped:
            logger.info("the package is wanted no more")
        except DrayError as error:
            self._fail(digest, error)
        except OSError as error:
            self._fail(digest, PackageDamaged(f"the package cannot be read: {str(error).lower()}"))
        except Exception as error:
            logger.error("unforeseen failure", exc_info=error)  # noqa: TRY400
            self._fail(digest, unforeseen("about the package"))

    def _fail(self, digest: str | None, error: DrayError) -> None:
        self._error = error
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        self.report = {"state": "failed", "code": error.code, "reason": reason[:_LONGEST], "digest": digest}
        self._add_setback()
        logger.error("package not served", extra={"fields": {"error_code": error.code, "error": error.message}})

    def _progress(self, state: str, digest: str) -> None:
        self.report = {"state": state, "digest": digest}
        self._add_setback()
        logger.info("package", extra={"fields": {"state": state, "digest": digest}})

    def _add_setback(self) -> None:
        if self._fell_back and self.report is not None:
            self.report["fell_back"] = self._fell_back

    def _serves(self, digest: str) -> bool:
        slots = self._repository.slots
        return any(slot.state == "ready" and slot.package and slot.package.digest == digest for slot in slots)

    def _active(self, digest: str) -> dict[str, Any]:
        found = (slot.manifest for slot in self._repository.slots if slot.package and slot.package.digest == digest)
        version = next((manifest.version for manifest in found if manifest is not None), None)
        return {"state": "active", "digest": digest, "version": version}

    async def _bring(self, wanted: WantedPackage) -> None:
        began = time.monotonic()
        self._progress("fetching", wanted.digest)
        served = {slot.path for slot in self._repository.slots}
        staged = await asyncio.to_thread(stage, wanted, self._slots, served, self._stop, self._patience)
        package = staged.package
        at = place_for(package, self._repository.slots)
        check_fits(package, self._repository.slots[at], wanted)
        self._progress("testing", wanted.digest)
        fresh = await asyncio.to_thread(self._test, package)
        if self._stop.is_set():
            raise Stopped
        manifest, claim = package.manifest, claim_of(self._repository.paths[at])
        base = claim.digest if claim is not None else ""
        active = Active(staged.slot, wanted.digest, manifest.name, manifest.version, base)
        gap_s = await self._switch(at, fresh, active)
        facts = {
            "bytes": staged.came_bytes,
            "seconds": round(time.monotonic() - began, 3),
            "gap_ms": round(gap_s * 1000, 3),
        }
        self.report = {**self._active(wanted.digest), **facts}
        logger.info("package serves", extra={"fields": self.report})

    async def _go_back(self) -> None:
        """To what the image holds."""
        for at, path in enumerate(self._repository.paths):
            if self._repository.slots[at].path != path:
                self._progress("testing", "the image's own")
                fresh = await asyncio.to_thread(self._repository.prepare, path)
                await self._switch(at, fresh, None)
        if self._slots.folder.exists():
            await asyncio.to_thread(self._empty)
        self.report = None

    async def _switch(self, at: int, fresh: Slot, active: Active | None) -> float:
        """Serve it, and after a restart too. Seconds for which the loop could do nothing else."""
        await asyncio.to_thread(self._slots.activate, active)
        await asyncio.to_thread(self._repository.exchange, at, fresh)
        began = time.perf_counter()
        self._serving.models_changed()
        return time.perf_counter() - began

    # --- in threads

    def _test(self, package: VerifiedPackage) -> Slot:
        self._begin_trial(package.digest)
        try:
            return self._repository.prepare(package.root)
        finally:
            self._end_trial()

    def _begin_trial(self, digest: str) -> None:
        self._slots.begin_trial(digest)
        self._on_trial = True

    def _end_trial(self) -> None:
        """This process has survived one, if it was at one: those of earlier ones count on."""
        if self._on_trial:
            self._on_trial = False
            self._slots.end_trial()

    def _empty(self) -> None:
        """Nothing of a slot is needed any more."""
        self._slots.activate(None)
        for name in NAMES:
            self._slots.clear(name)
        with writing():
            self._slots.end_download()
