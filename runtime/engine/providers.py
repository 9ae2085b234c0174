"""The contract with execution providers: which of them a session gets, and that none is replaced in silence.

``forbid`` gives the provider the whole graph or nothing: ONNX Runtime is told not to fall back on the CPU, and only
that provider is listed. Where it leaves some nodes to the CPU all the same, the session is made without that switch and
judged by what ran where (``runtime.engine.placement``): shapes may be reckoned on the CPU, everything else may not.
"""

import contextlib
import difflib
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from runtime.engine.placement import CPU, Placement
from runtime.errors import ProviderFellBack, ProviderMissing

logger = logging.getLogger(__name__)

Fallback = Literal["forbid", "allow"]
# Names with their options, whether the CPU is refused → a session.
Make = Callable[[list[tuple[str, dict[str, str]]], bool], Any]

ORT_ERRORS: Final[tuple[type[Exception], ...]] = tuple(
    error for error in vars(ort_state).values() if isinstance(error, type) and issubclass(error, Exception)
)
# What its bindings raise besides, while a session is made: a provider whose library is not there, an unknown option.
SESSION_ERRORS: Final[tuple[type[Exception], ...]] = (*ORT_ERRORS, RuntimeError, ValueError)
CUDA_BASED: Final = frozenset({"CUDAExecutionProvider", "TensorrtExecutionProvider"})
# CUDA computes in TF32 unless told not to, which is not within the certificate's tolerance.
# Trying all ways of a convolution takes twice the time of asking cuDNN, and won nothing on an H100.
_DEFAULT_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "CUDAExecutionProvider": {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
}
# Options that name files which must be there. Source: ONNX Runtime, "Vitis AI Execution Provider".
_FILES: Final = ("config_file", "xclbin")
# Of whole names, which end alike: `VitisExecutionProvider` scores 0.96, a provider of somebody's own 0.8 at most.
_CLOSE: Final = 0.9
_REFUSES_CPU: Final = "session.disable_cpu_ep_fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Which execution providers a session shall have.

    Attributes:
        preferred: Best first; the CPU's comes last in any case.
        require: Providers that have to be in use.
        options: Of each provider, by name.
        fallback: Whether the CPU may do what was asked of others; None leaves single nodes to it, and no more.
    """

    preferred: tuple[str, ...] = ()
    require: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fallback: Fallback | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """Those that are not the CPU's, best first."""
        return tuple(name for name in dict.fromkeys([*self.preferred, *self.require]) if name != CPU)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and why it is not on the provider that was asked for, where it is not."""

    session: Any
    why: str = ""


def open_session(settings: ProviderSettings, make: Make) -> Opened:
    """A session on the providers that are asked for, or on the CPU where that is allowed.

    Raises:
        ProviderMissing: A provider has to be in use, and is absent or does not start.
        Exception: ONNX Runtime's own, about the model.
    """
    names, why = _usable(settings)
    if not CUDA_BASED.isdisjoint(names):
        _load_cuda()
    chosen = [(name, _options(settings, name)) for name in names]
    if not names:
        return Opened(make([(CPU, {})], False), why)
    try:
        if settings.fallback == "forbid":
            return Opened(_strictly(settings, chosen, make))
        session = make([*chosen, (CPU, {})], False)
    except SESSION_ERRORS as error:
        if settings.fallback != "allow":
            raise
        why = f"{', '.join(names)} does not start: {one_line(error)}"
        return Opened(make([(CPU, {})], False), why)
    active = session.get_providers()
    _check_started(settings.require, active)
    if silent := [name for name in names if name not in active]:
        why = f"{', '.join(silent)} did not start: its device or its options"
    return Opened(session, why)


def judge(placement: Placement, settings: ProviderSettings, model: str) -> None:
    """Refuse what ran where it must not have, and say aloud what ran on the CPU.

    Raises:
        ProviderFellBack: Names the nodes.
    """
    unused = [name for name in settings.require if name != CPU and not placement.nodes.get(name)]
    if (settings.fallback == "forbid" and placement.fell_back) or unused:
        raise ProviderFellBack(
            f"the model {model!r} did not run where it has to: {placement.in_words()}",
            hint="a form of the model that the provider takes (int8 QDQ for Vitis AI), or DRAY_FALLBACK=allow",
            detail=placement.report(),
        )
    if placement.fell_back:
        logger.warning("%s: %s", model, placement.in_words())


def refuse_cpu(options: "ort.SessionOptions") -> None:
    """Make ONNX Runtime fail where it would give a node to the CPU."""
    options.add_session_config_entry(_REFUSES_CPU, "1")


def one_line(error: Exception) -> str:
    """The error's text without line breaks."""
    return " ".join(str(error).split())


def _usable(settings: ProviderSettings) -> tuple[list[str], str]:
    """Those that this onnxruntime has; why others are not among them."""
    available = ort.get_available_providers()
    must = settings.asked if settings.fallback == "forbid" else settings.require
    if missing := [name for name in must if name not in available]:
        raise _missing(missing, available)
    absent = [name for name in settings.asked if name not in available]
    for name in absent:
        logger.warning("%s is not in this onnxruntime (it has %s); going on without", name, ", ".join(available))
    near = _meant(absent)
    why = (
        f"{', '.join(absent)} is not in this onnxruntime {ort.__version__}{f'; {near}' if near else ''}"
        if absent
        else ""
    )
    return [name for name in settings.asked if name in available], why


def _strictly(settings: ProviderSettings, chosen: list[tuple[str, dict[str, str]]], make: Make) -> Any:
    """A session without the CPU; with it only where that is all that stands in the way."""
    try:
        return make(chosen, True)
    except SESSION_ERRORS as error:
        reason = one_line(error)
        if "fallback to CPU EP" not in reason:
            raise ProviderMissing(
                f"{', '.join(settings.asked)} must be used and does not start: {reason}",
                hint="is its device in this container, and are its options right? DRAY_PROVIDER_OPTIONS holds them",
                detail={"asked": list(settings.asked)},
            ) from error
        logger.info("some nodes are left to the CPU; which ones is judged after the self-test")
    session = make(chosen, False)
    _check_started(settings.asked, session.get_providers())
    return session


def _options(settings: ProviderSettings, name: str) -> dict[str, str]:
    options = {**_DEFAULT_OPTIONS.get(name, {}), **settings.options.get(name, {})}
    for key in _FILES:
        if key in options and not Path(options[key]).is_file():
            raise ProviderMissing(
                f"{key} of {name} is {options[key]!r}, and there is no such file here",
                hint="mount it into the container; DRAY_PROVIDER_OPTIONS names it",
                detail={"provider": name, "option": key},
            )
    return options


def _load_cuda() -> None:
    """Find CUDA and cuDNN where pip puts them; ONNX Runtime alone looks in the system's own folders only."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):  # it prints, and what it says belongs in the log
        ort.preload_dlls()
    for line in told.getvalue().splitlines():
        logger.warning("onnxruntime: %s", line)


def _check_started(required: Sequence[str], active: Sequence[str]) -> None:
    """ONNX Runtime leaves out a provider that does not start, and says so on its own standard error only."""
    absent = [name for name in required if name not in active]
    if absent:
        raise ProviderMissing(
            f"{', '.join(absent)} must be used and did not start; the session has {', '.join(active)}",
            hint="is its device in this container, and are its options right? ONNX Runtime's own lines above say why",
            detail={"missing": absent, "present": list(active)},
        )


def _meant(names: Sequence[str]) -> str:
    """The right name of the first that is none of ONNX Runtime's; empty where all are, or like none."""
    known = ort.get_all_providers()
    strange = next((name for name in names if name not in known), "")
    near = difflib.get_close_matches(strange.lower(), [name.lower() for name in known], n=1, cutoff=_CLOSE)
    return f"did you mean {next(name for name in known if name.lower() == near[0])}?" if near else ""


def _missing(missing: Sequence[str], present: Sequence[str]) -> ProviderMissing:
    usual = (
        "an onnxruntime with that provider, in this environment or in the image's base; "
        "where the CPU may stand in, DRAY_FALLBACK=allow, without DRAY_REQUIRE_PROVIDERS"
    )
    return ProviderMissing(
        f"{', '.join(missing)} must be used and cannot be; onnxruntime {ort.__version__} has {', '.join(present)}",
        hint=_meant(missing) or usual,
        detail={"missing": list(missing), "present": list(present)},
    )
