"""The conversion step: recognise the framework, convert, check the graph, compare with the source, prove batching."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packager import plugins
from packager.convert.asked import check_options
from packager.convert.confinement import described
from packager.convert.environment import EnvironmentChoice, choose, code_folder
from packager.convert.judgement import Checks
from packager.convert.safety import (
    KNOWN_FRAMEWORKS,
    Cleared,
    Trust,
    cleared,
    cleared_by,
    cleared_folder,
    holds_pickle,
)
from packager.core.conversion import (
    DEFAULT_ATOL,
    DEFAULT_OPSET,
    DEFAULT_RTOL,
    DEFAULT_SEED,
    ConversionRequest,
    ConversionResult,
    InputHint,
    ModelSource,
    RawConversion,
)
from packager.core.environment import LEGACY, LegacyAware
from packager.core.errors import ConverterMissing, EnvironmentMissing, ModelInvalid, ModelMissing, UsageError
from packager.core.extras import extras
from packager.core.progress import Progress, SilentProgress
from packager.core.protocols import CodeAware, Converter, FolderConverter
from runtime.contract.manifest import SourceInfo, content_digest
from runtime.contract.package import file_sha256

if TYPE_CHECKING:
    from packager.convert.verification import Verified
    from packager.environments import Environment

DEFAULT_TIMEOUT_S = 600.0
_NEEDED = ("numpy", "onnx", "onnxruntime")


def convert(
    source: ModelSource,
    *,
    workdir: Path,
    samples: Path | None = None,
    opset: int = DEFAULT_OPSET,
    atol: float = DEFAULT_ATOL,
    rtol: float = DEFAULT_RTOL,
    seed: int = DEFAULT_SEED,
    inputs: tuple[InputHint, ...] = (),
    expected: Path | None = None,
    accept_precision_loss: bool = False,
    trust: Trust = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    progress: Progress | None = None,
    options: Mapping[str, Any] | None = None,
    environment: EnvironmentChoice | None = None,
    look: Callable[[RawConversion], None] | None = None,
) -> ConversionResult:
    """A verified ONNX model of the source; its files are in ``workdir``, or beside an ONNX source.

    Args:
        workdir: An empty folder that lives until the package is written.
        samples: The user's; synthetic ones are drawn with ``seed`` where None.
        expected: Answers of the source to ``samples``, ``.npz`` by output name.
        trust: Whether the file may call what is on no list of harmless names, or who is asked about it.
        options: For converters that know them; refused by one that does not.
        environment: What ``--env`` says; a question that nobody answers where None.
        look: Shown what the converter left before it is compared, which can take long; may refuse it.

    Raises:
        ConversionError: One of its family: missing, invalid, unsafe, not convertible, or answering differently.
        EnvironmentMissing: Something that the conversion needs is not installed, or an environment is not made.
    """
    report = progress or SilentProgress()
    converter = _recognised(source)
    check_options(converter, source, inputs, options or {})
    legacy = _legacy(converter, environment, expected)
    # Before an environment is made: nothing is installed for a file that will be refused.
    safe = _cleared(converter, source, workdir, trust, report, options or {})
    _check_proof(converter)
    chosen = choose(
        environment or EnvironmentChoice(), converter, source, samples=samples, progress=report, timeout_s=timeout_s
    )
    _check_installed(converter, elsewhere=chosen is not None)
    if expected is not None and samples is None:
        raise UsageError(
            "--expected holds answers to rows that are not there", hint="give the rows themselves with --samples FILE"
        )
    checks = Checks(atol=atol, rtol=rtol, seed=seed, expected=expected, accept_precision_loss=accept_precision_loss)
    request = ConversionRequest(
        source=safe.path,
        workdir=workdir,
        samples=samples,
        opset=opset,
        seed=seed,
        atol=atol,
        rtol=rtol,
        inputs=inputs,
        options=options or {},
        trusted=safe.trusted,
    )
    with _raw(converter, request, report, chosen, timeout_s=timeout_s, safe=safe) as raw:
        from packager.convert.verification import verify  # onnx and ONNX Runtime, while a child is at work

        conversion = raw()
    if look is not None:
        look(conversion)
    if legacy is not None:
        from packager.convert.legacy import with_answers

        conversion = with_answers(conversion, legacy, request, report, timeout_s=timeout_s)
    report.step("comparing ONNX Runtime with the source")
    verified = verify(conversion, checks)
    result = _result(source, conversion, verified, chosen)
    read = result.source.model_copy(update={"sha256": safe.sha256}) if safe.sha256 else result.source
    notes = (*result.notes, described()) if safe.trusted else result.notes
    return replace(result, source=read, trusted=safe.trusted, notes=notes)


def _cleared(
    converter: Converter,
    source: ModelSource,
    workdir: Path,
    trust: Trust,
    progress: Progress,
    options: Mapping[str, Any],
) -> Cleared:
    """The file that the converter may load: a copy of what was read, where loading can run code."""
    path = source.path
    if source.function is not None:
        return Cleared(path)  # the user's own code is run as such
    if path.is_dir() and isinstance(converter, FolderConverter):
        progress.step("reading what the folder would run")
        code, pickles = converter.runs(path), converter.unpickled(path)
        return cleared_folder(path, workdir / "source", code=code, pickles=pickles, trust=trust)
    if isinstance(converter, CodeAware) and path.suffix != ".py":
        progress.step("reading what the file would run")
        return cleared_by(lambda copy: converter.code_in(copy, options), path, workdir / "source", trust=trust)
    unpickles: tuple[str, ...] | None = getattr(converter, "unpickles", None)
    if not converter.isolated or not path.is_file():
        return Cleared(path)
    if unpickles is None and not holds_pickle(path):
        return Cleared(path)
    progress.step("reading what the file would call")
    folder = workdir / "source"
    folder.mkdir()
    classes = (str(options["class"]),) if options.get("class") else ()
    return cleared(path, folder, trust=trust, frameworks=unpickles or KNOWN_FRAMEWORKS, classes=classes)


def _recognised(source: ModelSource) -> Converter:
    """The converter for a source: as the user says, or the first that recognises it.

    Raises:
        ModelMissing, ModelInvalid, ConverterMissing: With what is known.
    """
    path = source.path
    if not path.exists():
        raise ModelMissing(f"there is no model at {str(path)!r}", hint="check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise ModelInvalid(f"the model file {path.name!r} is empty", hint="save the model again")
    if source.framework is not None:
        return plugins.converter(source.framework)
    known = plugins.converters()
    for converter in known.values():
        if converter.recognises(source):
            return converter
    what = "folder" if path.is_dir() else "file"
    raise ConverterMissing(
        f"no installed converter recognises the {what} {path.name!r}",
        hint=f"say which with --framework: {', '.join(known) or 'none is installed'}",
        detail={"known": list(known)},
    )


def _legacy(converter: Converter, environment: EnvironmentChoice | None, expected: Path | None) -> LegacyAware | None:
    """The converter where its retired framework is to be asked; None where it is not."""
    if environment is None or environment.env != LEGACY:
        return None
    from packager.convert.legacy import legacy_aware

    return legacy_aware(converter, expected)


def _check_installed(converter: Converter, *, elsewhere: bool) -> None:
    """What the converter needs, unless it works in another environment; and what comparing needs here."""
    absent = () if elsewhere else plugins.absent_requirements(converter)
    absent += tuple(name for name in _NEEDED if name not in absent and importlib.util.find_spec(name) is None)
    if not absent:
        return
    command = (
        f'pip install "dray[{converter.name}]"' if converter.name in extras() else f"pip install {' '.join(absent)}"
    )
    raise EnvironmentMissing(
        f"converting {converter.name} models needs {', '.join(absent)}, not installed here",
        hint=command,
        detail={"missing": list(absent)},
    )


def _check_proof(converter: Converter) -> None:
    """What comparing models of this framework needs in this environment, wherever they are converted."""
    needed: tuple[str, ...] = getattr(converter, "needs_here", ())
    if absent := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise EnvironmentMissing(
            f"proving and serving {converter.name} models needs {', '.join(absent)}, not installed here",
            hint=f"pip install {' '.join(absent)}",
            detail={"missing": absent},
        )


@contextmanager
def _raw(
    converter: Converter,
    request: ConversionRequest,
    progress: Progress,
    environment: "Environment | None",
    *,
    timeout_s: float,
    safe: Cleared,
) -> Iterator[Callable[[], RawConversion]]:
    """The converter's work, begun; call what is yielded to wait for it."""
    if not converter.isolated:
        yield lambda: converter.convert(request, progress)
        return
    from packager.convert.isolation import Interpreter, converting

    progress.step(f"starting {converter.name}")
    if environment is None:
        interpreter = Interpreter()
    else:
        interpreter = Interpreter(environment.python, code_folder(request.workdir, converter))
    with converting(converter, request, timeout_s=timeout_s, interpreter=interpreter, limits=safe.limits) as child:
        yield lambda: child.result(progress)


def _result(
    source: ModelSource, raw: RawConversion, verified: "Verified", environment: "Environment | None"
) -> ConversionResult:
    where: tuple[str, ...] = ()
    if environment is not None:
        where = (f"converted in the environment {environment.name} (Python {environment.python_version})",)
    return ConversionResult(
        onnx_path=raw.onnx,
        external_data=verified.graph.info.external_data,
        source=SourceInfo(
            framework=raw.framework,
            framework_version=raw.framework_version,
            filename=source.path.name,
            sha256=_source_sha256(source.path),
        ),
        onnx=verified.graph.info,
        signature=verified.graph.signature,
        labels=dict(raw.labels) or None,
        test_cases=verified.cases,
        reference=verified.reference,
        parity=verified.parity,
        batch_safety=verified.batch_safety,
        versions={**verified.versions, **raw.versions},
        notes=where + raw.notes + verified.notes,
        training=raw.training,
        preprocessing=raw.preprocessing,
        raw=raw,
    )


def _source_sha256(path: Path) -> str:
    if path.is_file():
        return file_sha256(path)
    files = {item.relative_to(path).as_posix(): file_sha256(item) for item in path.rglob("*") if item.is_file()}
    return content_digest(files).removeprefix("sha256:")
