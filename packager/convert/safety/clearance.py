"""Whether a model file may be loaded, and which bytes."""

import mmap
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from packager.convert.safety.decompression import decompressed
from packager.convert.safety.findings import Finding, Findings, Unreadable
from packager.convert.safety.lists import KNOWN, allowed, may_be_a_model
from packager.convert.safety.machine import Machine
from packager.convert.safety.skops_files import is_skops, read_skops
from packager.convert.safety.torch_files import is_safetensors, is_torch, read_torch
from packager.core.conversion import LoadLimits
from packager.core.errors import ModelInvalid, UnsafeModel
from runtime.contract.package import file_sha256

# True or False as the user said, or a question that is asked with the calls, one "module.name" each.
Trust = bool | Callable[[Sequence[str]], bool]

_MOST_TRAILING = 100
_SHOWN = 3
_SAVE_AGAIN = "save the fitted estimator again with joblib.dump(estimator, 'model.joblib')"
_SAVE_TORCH_AGAIN = "copy the file again, or save it again with torch.save, torch.jit.save or torch.export.save"
_PICKLE_SUFFIXES = {".joblib", ".pkl", ".pickle"}


@dataclass(frozen=True, slots=True)
class Cleared:
    """A file that may be loaded.

    Attributes:
        path: A copy of exactly the bytes that were read, decompressed.
        sha256: Of the file as it was given; None where it was not read.
        trusted: What lies outside the lists and was trusted; empty for most models.
        limits: What the process that loads it has to know.
    """

    path: Path
    sha256: str | None = None
    trusted: tuple[str, ...] = ()
    limits: LoadLimits = field(default_factory=LoadLimits)


def holds_pickle(path: Path) -> bool:
    """Whether a file is named as a pickle, or begins as one of protocol 2 and later."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        head = stream.read(2)
    return path.suffix.lower() in _PICKLE_SUFFIXES or (len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5)


def cleared(
    source: Path,
    folder: Path,
    *,
    frameworks: Sequence[str] = KNOWN,
    classes: Sequence[str] = (),
    trust: Trust = False,
) -> Cleared:
    """The file as it may be loaded: it calls only what is on the lists, or what is trusted.

    Args:
        folder: Empty; the copy is put there under the file's own name.
        frameworks: Whose classes the file may hold.
        classes: Further ones that the user named as the model's: ``MODULE:NAME``.

    Raises:
        UnsafeModel: It would call something else, and that is not trusted; names the calls.
        ModelInvalid: Not a pickle, cut off, or in a compression that is not read.
    """
    if is_safetensors(source):
        return Cleared(Path(shutil.copyfile(source, folder / source.name)), file_sha256(source))
    copy, sha256 = decompressed(source, folder)
    findings = Findings(allowed(frameworks, classes))
    limits = LoadLimits(tuple(frameworks), tuple(classes))
    try:
        _judge(copy, findings)
    except Unreadable as problem:
        again = _SAVE_TORCH_AGAIN if "torch" in frameworks else _SAVE_AGAIN
        raise _unreadable(source, findings, problem, again) from problem
    calls = tuple(finding.what for finding in findings)
    if not calls:
        return Cleared(copy, sha256, limits=limits)
    if trust is False:
        raise _unsafe(source, list(findings), _class_hint(findings, classes) if "torch" in frameworks else "")
    if trust is not True and not trust(calls):
        raise UnsafeModel(
            f"{source.name!r} is not trusted: it would call {_listed(list(findings))}",
            hint="nothing of it was run",
            detail=_detail(findings),
        )
    return Cleared(copy, sha256, calls, LoadLimits(imports=(source.parent, *_roots(findings))))


def _judge(copy: Path, findings: Findings) -> None:
    """Note what loading the file would call, whatever kind of file it is."""
    if is_skops(copy):
        read_skops(copy, findings)
    elif is_torch(copy):
        read_torch(copy, findings)
    else:
        _read(copy, findings)


def _roots(findings: Findings) -> tuple[Path, ...]:
    """Folders that this process imported trusted modules from: those of a notebook that packages its own objects."""
    roots: dict[Path, None] = {}
    for pair in sorted(pair for pair in findings.seen if findings.is_foreign(pair)):
        file = getattr(sys.modules.get(pair.module), "__file__", None)
        if file and not Path(file).is_relative_to(sys.prefix) and not Path(file).is_relative_to(sys.base_prefix):
            above = pair.module.count(".") + (Path(file).name == "__init__.py")
            roots[Path(file).absolute().parents[above]] = None
    return tuple(roots)


def _read(path: Path, findings: Findings) -> None:
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("it is empty", 0)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        stream = cast("BinaryIO", mapped)
        Machine(stream, size, findings).run()
        end = mapped.tell()
        if end < size:
            _read_rest(stream, size, findings)
            findings.refuse(f"{size - end} bytes after the end of the pickle", end)


def _read_rest(stream: BinaryIO, size: int, findings: Findings) -> None:
    """Further pickles, which joblib would not load: other loaders would, so what they call is named."""
    for _ in range(_MOST_TRAILING):
        if stream.tell() >= size:
            return
        try:
            Machine(stream, size, findings).run()
        except Unreadable:
            return


def _class_hint(findings: Findings, classes: Sequence[str]) -> str:
    """What to add where the only names outside the lists are those of the user's own classes."""
    foreign = sorted(pair for pair in findings.seen if findings.is_foreign(pair))
    if not foreign or len(foreign) != sum(1 for _ in findings) or not all(map(may_be_a_model, foreign)):
        return ""
    if len(foreign) == 1 and not classes:
        return f"if that is the model's class, name it: --class {foreign[0].module}:{foreign[0].name}; or "
    return "--class allows one class, and the file needs more: "


def _unsafe(source: Path, found: list[Finding], hint: str) -> UnsafeModel:
    return UnsafeModel(
        f"loading {source.name!r} would {_verb(found)} {_listed(found)}, which no list of harmless names holds",
        hint=f"nothing of it was run; {hint}if you made the file, or know who did, --trust loads it in a closed-off"
        " process and records what it calls in the certificate",
        detail=_detail(found),
    )


def _unreadable(source: Path, findings: Findings, problem: Unreadable, again: str) -> UnsafeModel | ModelInvalid:
    found = list(findings)
    where = f"at byte {problem.position}: {problem.what}"
    if found:
        return UnsafeModel(
            f"{source.name!r} would {_verb(found)} {_listed(found)}, and cannot be read to its end {where}",
            hint="nothing of it was run; a file that is cut off there was either damaged or made to deceive",
            detail=_detail(found),
        )
    if problem.unsafe:
        return UnsafeModel(
            f"{source.name!r} cannot be judged {where}",
            hint=f"nothing of it was run; {again}",
            detail=_detail([]),
        )
    return ModelInvalid(
        f"{source.name!r} is not a pickle that can be read, or is cut off, {where}",
        hint=again,
        detail={"position": problem.position},
    )


def _verb(found: Sequence[Finding]) -> str:
    return "call" if any(finding.called for finding in found) else "import"


def _listed(found: Sequence[Finding]) -> str:
    shown = ", ".join(f"{finding.what} (byte {finding.position})" for finding in found[:_SHOWN])
    return f"{shown} and {len(found) - _SHOWN} more" if len(found) > _SHOWN else shown


def _detail(found: "Sequence[Finding] | Findings") -> dict[str, object]:
    return {
        "calls": [{"name": finding.what, "position": finding.position, "called": finding.called} for finding in found]
    }
