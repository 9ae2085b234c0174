"""The models of this process: read, loaded and tested one after the other, found by name and version."""

import itertools
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from runtime.contract.errors import DrayError
from runtime.contract.manifest import ModelManifest
from runtime.contract.package import VerifiedPackage, read_package
from runtime.errors import DuplicateModel, ModelLoadFailed, ModelNotReady, UnknownModel

if TYPE_CHECKING:  # ONNX Runtime is imported when the first package is loaded, not before
    from runtime.engine.costs import Costs
    from runtime.engine.session import OnnxModel, SessionSettings

logger = logging.getLogger(__name__)

Whole = Literal["starting", "ready", "failed"]
State = Whole | Literal["unloaded"]
_BOOKKEEPING: Final = "this is a bug in dray; the log holds the traceback"


_serials = itertools.count(1)


@dataclass(slots=True)
class Slot:
    """Place of one package: what is known of it so far.

    Attributes:
        costs: Measured after the self-test.
        serial: Of what was loaded at one time; the same in every process that was forked since.
        unloaded: Taken out of service while the process went on; its package may be loaded again.
        other: Folder of the package that serves where the one at ``path`` cannot.
        setback: Why it could not.
    """

    path: Path
    package: VerifiedPackage | None = None
    model: "OnnxModel | None" = None
    costs: "Costs | None" = None
    error: DrayError | None = None
    unloaded: bool = False
    other: Path | None = None
    setback: DrayError | None = None
    serial: int = field(default_factory=_serials.__next__)

    @property
    def state(self) -> State:
        """``ready`` only after the self-test."""
        if self.unloaded:
            return "unloaded"
        if self.error is not None:
            return "failed"
        return "ready" if self.model is not None else "starting"

    @property
    def manifest(self) -> ModelManifest | None:
        """None until the package was read."""
        return self.package.manifest if self.package is not None else None


@dataclass(slots=True)
class Repository:
    """Every model that this process was asked to serve."""

    paths: Sequence[Path]
    session_settings: "Callable[[], SessionSettings]"
    slots: tuple[Slot, ...] = field(init=False)
    _changing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.slots = tuple(Slot(path) for path in self.paths)

    @property
    def state(self) -> Whole:
        """``failed`` when any package failed, ``ready`` when all are."""
        states = {slot.state for slot in self.slots}
        if "failed" in states:
            return "failed"
        return "starting" if "starting" in states else "ready"

    def read(self) -> None:
        """Read every package that was not read yet; load none."""
        for slot in self.slots:
            while slot.package is None and slot.state == "starting":
                self._attempt(slot, self._read)

    def load(self) -> None:
        """Bring every package to ``ready`` or ``failed``; blocks, so it belongs in a thread."""
        try:
            self.read()
            for slot in self.slots:
                while slot.state == "starting":
                    self._attempt(slot, self._load if slot.package is not None else self._read)
        finally:
            for slot in self.slots:
                if slot.state == "starting":  # an exception that nobody foresaw is on its way out
                    slot.error = ModelLoadFailed(f"loading {str(slot.path)!r} ended unexpectedly", hint=_BOOKKEEPING)

    def find(self, name: str, version: str | None = None) -> "OnnxModel":
        """The model of this name, in this version or the highest.

        Raises:
            UnknownModel: None of the packages is it.
            ModelNotReady: It may be or is one of them, and does not answer yet, or never will.
        """
        slots = self.named(name, version)
        ready = [slot.model for slot in slots if slot.model is not None and slot.state == "ready"]
        if ready:
            return max(ready, key=lambda model: version_key(model.manifest.version))
        if not slots and all(slot.manifest is not None for slot in self.slots):
            raise self._unknown(name, version)
        failed = next((slot.error for slot in slots or self.slots if slot.error is not None), None)
        if failed is None and slots and all(slot.unloaded for slot in slots):
            raise ModelNotReady(
                f"the model {name!r} was unloaded", hint=f"POST /v2/repository/models/{name}/load brings it back"
            )
        if failed is None:
            raise ModelNotReady(f"the model {name!r} is not ready: it is being loaded", hint="ask again in a moment")
        raise ModelNotReady(
            f"the model {name!r} is not ready: {failed.message}",
            hint=failed.hint,
            detail={"cause": failed.code, **failed.detail},
        )

    def only(self) -> "OnnxModel":
        """The model that is meant where a dialect names none: in its highest version.

        Raises:
            UnknownModel: Models of several names are served.
            ModelNotReady: It does not answer yet, or never will.
        """
        names = list(dict.fromkeys(slot.manifest.name for slot in self.slots if slot.manifest is not None))
        if len(names) > 1:
            raise UnknownModel(
                f"this path names no model, and several are served: {', '.join(names)}",
                hint="ask one by name at /v2/models/NAME/infer, or serve it alone",
                detail={"served": names},
            )
        return self.find(names[0] if names else "")

    def reload(self, name: str, *, load: bool = True) -> None:
        """Load the packages of this name anew from their folders; blocks, so it belongs in a thread.

        The one that serves goes on until the new one has passed its self-test, and for good where it does not.

        Args:
            load: False only reads them: whoever is forked from this process loads what was read.

        Raises:
            UnknownModel: No folder of this server holds such a package.
            DrayError: Why the new one cannot serve; nothing has changed then.
        """
        with self._changing:
            fresh = [self._renewed(slot, load=load) for slot in self.slots if _holds(slot, name)]
            if not fresh:
                raise self._unknown(name, None)
            by_path = {slot.path: slot for slot in fresh}
            self.slots = tuple(by_path.get(slot.path, slot) for slot in self.slots)

    def prefer(self, at: int, path: Path) -> None:
        """Before anything is read: a package in the place of the one at ``paths[at]``, which serves where it cannot."""
        fresh = Slot(path, other=self.paths[at])
        self.slots = (*self.slots[:at], fresh, *self.slots[at + 1 :])

    def prepare(self, path: Path) -> Slot:
        """The package of a folder, loaded and tested, and not served yet; blocks, so it belongs in a thread.

        Raises:
            DrayError: Why it cannot serve.
        """
        slot = Slot(path, read_package(path))
        self._load(slot)
        return slot

    def exchange(self, at: int, fresh: Slot) -> None:
        """Serve another package from now on; what was begun with the one before ends with it. May block."""
        with self._changing:
            self.slots = (*self.slots[:at], fresh, *self.slots[at + 1 :])

    def unload(self, name: str) -> None:
        """Take every version of a model out of service; requests that it has are answered.

        Raises:
            UnknownModel: There is none of this name.
        """
        with self._changing:
            if not (slots := self.named(name)):
                raise self._unknown(name, None)
            gone = {slot.path: Slot(slot.path, slot.package, unloaded=True) for slot in slots}
            self.slots = tuple(gone.get(slot.path, slot) for slot in self.slots)

    def named(self, name: str, version: str | None = None) -> list[Slot]:
        """Slots whose package is of this name, and of this version if one is given; the highest last."""
        slots = [slot for slot in self.slots if slot.manifest is not None and slot.manifest.name == name]
        slots.sort(key=lambda slot: version_key(slot.manifest.version if slot.manifest else ""))
        return [slot for slot in slots if version is None or (slot.manifest and slot.manifest.version == version)]

    def _attempt(self, slot: Slot, step: Callable[[Slot], None]) -> None:
        try:
            step(slot)
        except (DrayError, OSError) as error:
            found = error if isinstance(error, DrayError) else _unreadable(slot.path, error)
            logger.error("package failed", extra={"fields": {"package": str(slot.path), **_facts(found)}})  # noqa: TRY400
            if slot.other is None:
                slot.error = found
                return
            slot.path, slot.other, slot.package, slot.setback = slot.other, None, None, found

    def _read(self, slot: Slot) -> None:
        package = read_package(slot.path)
        manifest = package.manifest
        for other in self.named(manifest.name, manifest.version):
            raise DuplicateModel(
                f"{str(slot.path)!r} and {str(other.path)!r} are both {manifest.name!r} version {manifest.version!r}",
                hint="serve one of them, or package one under another --name or --version",
            )
        slot.package = package

    def _load(self, slot: Slot) -> None:
        from runtime.engine.bring_up import bring_up

        if slot.package is None:
            return
        started = time.perf_counter()
        model, costs, cases = bring_up(slot.package, self.session_settings())
        slot.costs = costs
        slot.model = model
        fields = {
            "model": model.manifest.name,
            "version": model.manifest.version,
            "digest": slot.package.digest,
            "provider": model.providers[0],
            "test_data_sets": cases,
            "run_us": round(costs.run_ns / 1000, 1),
            "batch_rows": costs.best_rows,
            "seconds": round(time.perf_counter() - started, 3),
        }
        logger.info("model ready", extra={"fields": fields})

    def _renewed(self, slot: Slot, *, load: bool) -> Slot:
        """A slot with what its folder holds now, loaded and tested unless that is left to others."""
        fresh = Slot(slot.path, read_package(slot.path))
        if load:
            self._load(fresh)
        return fresh

    def _unknown(self, name: str, version: str | None) -> UnknownModel:
        served = [f"{m.name} {m.version}" for slot in self.slots if (m := slot.manifest) is not None]
        which = f"{name!r} version {version!r}" if version is not None else repr(name)
        return UnknownModel(f"no model {which} is served here; served: {', '.join(served)}", detail={"served": served})


def _unreadable(path: Path, error: OSError) -> ModelLoadFailed:
    return ModelLoadFailed(f"cannot read the package {str(path)!r}: {error}")


def _holds(slot: Slot, name: str) -> bool:
    """Whether the slot's folder holds a package of this name, as far as is known or can be read."""
    if slot.manifest is not None and slot.manifest.name == name:
        return True
    try:
        return read_package(slot.path).manifest.name == name
    except (DrayError, OSError):
        return False


def version_key(version: str) -> list[tuple[int, int, str]]:
    """Sorts ``2`` before ``10`` and ``1.9`` before ``1.10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _facts(error: DrayError) -> dict[str, str]:
    return {"error_code": error.code, "error": error.message, "hint": error.hint}
