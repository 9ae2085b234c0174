"""Names of execution providers and of their options: one that is almost right is told apart from one that is new."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, StringConstraints

_SUFFIX: Final = "ExecutionProvider"
# Source: ``onnxruntime.get_all_providers()`` of 1.32. A build of somebody's own may have others.
KNOWN: Final = tuple(
    f"{stem}{_SUFFIX}"
    for stem in (
        "Azure", "CANN", "CPU", "CUDA", "CoreML", "Dml", "Dnnl", "Js", "MIGraphX", "Nnapi", "OpenVINO", "QNN", "ROCM",
        "Rknpu", "Tensorrt", "VSINPU", "VitisAI", "WebGpu", "WebNN", "Xnnpack",
    )
)  # fmt: skip
# Source: ONNX Runtime, "Vitis AI Execution Provider"; it takes any word, and says nothing of one that it does not know.
# ``cacheDir`` and ``cacheKey`` are what releases before 2024 called them.
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    f"VitisAI{_SUFFIX}": frozenset(
        {
            "config_file",
            "cache_dir",
            "cache_key",
            "cacheDir",
            "cacheKey",
            "xclbin",
            "target",
            "encryption_key",
            "log_level",
        }
    ),
}
_CLOSE: Final = 0.7
_CLOSE_OPTION: Final = 0.8


def _name(value: object) -> object:
    """Itself, unless it is one of ONNX Runtime's, misspelt."""
    if not isinstance(value, str) or value in KNOWN:
        return value
    if "," in value:
        raise ValueError(f"provider is {value!r}, and one does the work: name that alone, and not the CPU's beside it")
    near = _nearest(value.removesuffix(_SUFFIX), [each.removesuffix(_SUFFIX) for each in KNOWN], _CLOSE)
    if near is not None:
        raise ValueError(f"provider {value!r} is none of ONNX Runtime's; did you mean {near}{_SUFFIX}?")
    return value


ProviderName = Annotated[str, StringConstraints(pattern=rf"^[A-Za-z0-9]+{_SUFFIX}$"), BeforeValidator(_name)]


def refuse_misspelt_option(provider: str, options: Iterable[str]) -> None:
    """Look at the options of a provider that ignores what it does not know.

    Raises:
        ValueError: One is almost that of the provider.
    """
    known = _OPTIONS.get(provider)
    for option in options if known else ():
        if known and option not in known and (near := _nearest(option, sorted(known), _CLOSE_OPTION)):
            raise ValueError(f"provider_options.{option} is none of {provider}'s; did you mean {near}?")


def _nearest(word: str, known: Iterable[str], cutoff: float) -> str | None:
    by_fold = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), sorted(by_fold), n=1, cutoff=cutoff)
    return by_fold[close[0]] if close else None
