"""Whether a package may take the place of another."""

from collections.abc import Mapping, Sequence
from typing import Final

from runtime.contract.manifest import Signature, TensorSpec
from runtime.contract.package import VerifiedPackage
from runtime.edge.wanted import WantedPackage
from runtime.engine.repository import Slot, version_key
from runtime.errors import PackageOfOtherModel, PackageOlder, SignatureDiffers

_IMAGE: Final = "deploy an image of it"


def place_for(package: VerifiedPackage, slots: Sequence[Slot]) -> int:
    """Which of the slots it may take.

    Raises:
        PackageOfOtherModel: None, or several.
    """
    name = package.manifest.name
    found = [at for at, slot in enumerate(slots) if slot.manifest is not None and slot.manifest.name == name]
    if len(found) == 1:
        return found[0]
    served = ", ".join(sorted({repr(slot.manifest.name) for slot in slots if slot.manifest is not None}))
    if not found:
        raise PackageOfOtherModel(f"the package is of the model {name!r}; served: {served or 'none'}", hint=_IMAGE)
    raise PackageOfOtherModel(f"several versions of {name!r} are served, and one can be replaced only", hint=_IMAGE)


def check_fits(package: VerifiedPackage, present: Slot, wanted: WantedPackage) -> None:
    """May it take the place of what is there?

    Raises:
        PackageOlder, SignatureDiffers: Not without being told so.
    """
    if present.manifest is None:
        return
    old, new = present.manifest, package.manifest
    if version_key(new.version) < version_key(old.version) and not wanted.allow_older:
        raise PackageOlder(
            f"the package has version {new.version!r}, and {old.version!r} serves",
            hint="with allow_older: true it goes back",
        )
    changes = signature_changes(old.signature, new.signature)
    if changes and not wanted.allow_signature_change:
        raise SignatureDiffers(
            f"the signature changes: {'; '.join(changes)}",
            hint="whoever sends messages must send others: with allow_signature_change: true it serves",
        )


def signature_changes(old: Signature, new: Signature) -> list[str]:
    """What clients of the old one would notice."""
    return [*_changes("input", old.inputs, new.inputs), *_changes("output", old.outputs, new.outputs)]


def _changes(side: str, old: Sequence[TensorSpec], new: Sequence[TensorSpec]) -> list[str]:
    before, after = _shapes(old), _shapes(new)
    both = [name for name in before if name in after and before[name] != after[name]]
    changed = [f"{side} {name!r} is {after[name]}, not {before[name]}" for name in both]
    gone = [f"{side} {name!r} is gone" for name in before if name not in after]
    added = [f"{side} {name!r} is new" for name in after if name not in before]
    return [*changed, *gone, *added]


def _shapes(specs: Sequence[TensorSpec]) -> Mapping[str, str]:
    columns = {spec.name: f" of columns {', '.join(spec.columns)}" if spec.columns else "" for spec in specs}
    return {
        spec.name: f"{spec.dtype}{[d if isinstance(d, int) else -1 for d in spec.shape]}{columns[spec.name]}"
        for spec in specs
    }
