"""The environment as ``Settings``: the only reader of ``os.environ`` in the runtime."""

import difflib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final, Literal

from runtime.contract.errors import DrayError

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
# Of a field that other variables than ``DRAY_`` ones set.
_NOT_OURS: Final = {"ours": False}
_BUILDER_NAMES: Final = frozenset({"DRAY_HOME"})
# What Kubernetes injects for a Service named ``dray``: it collides with DRAY_PORT. Source: Kubernetes documentation,
# "Service", section "Environment variables" (the form of Docker links).
_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


_OF_MODULES: Final = (
    "IOTEDGE_DEVICEID",
    "IOTEDGE_MODULEID",
    "IOTEDGE_MODULEGENERATIONID",
    "IOTEDGE_IOTHUBHOSTNAME",
    "IOTEDGE_GATEWAYHOSTNAME",
    "IOTEDGE_APIVERSION",
)
# As many workers as processors is what helps; far more is a slip, and each costs memory.
MOST_WORKERS: Final = 128
AUTO: Final = 0
_CPU: Final = "CPUExecutionProvider"


def can_fork() -> bool:
    """Whether several workers can be had: Windows has no fork, and macOS's frameworks do not survive one."""
    return hasattr(os, "fork") and sys.platform != "darwin"


class SettingInvalid(DrayError):
    """A known name in the environment has a value that cannot be meant, or that this version cannot honour."""

    code = "E-SETTING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one server process runs with; each field is ``DRAY_`` and its name in capitals.

    Attributes:
        port: 0 takes any free one.
        standby_port: When set, the process listens there only, until SIGUSR1 makes it take ``port`` as well.
        workers: Processes that answer; 0 is one for each processor of the container's CPU limit.
        threads: Of ONNX Runtime, for each run; None is each worker's share of the container's CPU limit.
        max_batch: Rows of one run; requests share it up to so many, and a larger one is split. None follows what was
            measured at the start, and splits nothing.
        max_delay_us: How long the first of them waits for others; None waits for nothing.
        fast_path: Whether inference is answered below FastAPI where that is possible; the answers are the same.
        model_control: Whether clients may load and unload models over HTTP.
        max_queue: Requests that are read, waiting or running at any time; one more is refused. Each worker has its
            share, rounded up.
        max_wait_s: How long a request may have to wait for its run while others wait all the time; else it is refused.
        request_timeout_s: From the request's head to its answer.
        providers: ONNX Runtime execution providers in order of preference; absent ones are left out with a warning.
        require_providers: The start fails where one of these is not in use.
        provider_options: Of each provider, a JSON object by name.
        fallback: ``forbid`` fails where the CPU would do what was asked of a provider, ``allow`` says so and goes on;
            None leaves to the CPU what a provider does not take.
        api_keys_file: One key a line; a request must carry one of them as ``Authorization: Bearer``.
        sample_rate: Share of the answered requests that are written out with their inputs and outputs.
        sample_file: Where to; None is standard output.
        edge_folder: What has to outlive the container of a module of an edge device: its journal.
        edge_journal_messages, edge_journal_mib: What the journal holds at most.
        edge: Whether this is a module of an edge device, as ``IOTEDGE_WORKLOADURI`` says.
        otlp_endpoint, otlp_protocol: What the standard ``OTEL_`` variables say of a collector of traces.
    """

    packages: tuple[Path, ...] = (Path("/model"),)
    host: str = "0.0.0.0"  # noqa: S104 - a container's port is published by whoever runs it
    port: int = 8080
    standby_port: int | None = None
    workers: int = 1
    threads: int | None = None
    max_batch: int | None = None
    max_delay_us: int | None = None
    max_body_mib: int = 64
    max_queue: int = 256
    max_wait_s: float = 1.0
    request_timeout_s: float = 60.0
    providers: tuple[str, ...] = ()
    require_providers: tuple[str, ...] = ()
    provider_options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fallback: Literal["forbid", "allow"] | None = None
    api_keys_file: Path | None = None
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    fast_path: bool = True
    model_control: bool = False
    log_level: str = "info"
    sample_rate: float = 0.0
    sample_file: Path | None = None
    edge_folder: Path = Path("/var/lib/dray")
    edge_journal_messages: int = 10_000
    edge_journal_mib: int = 64
    edge: bool = field(default=False, metadata=_NOT_OURS)
    otlp_endpoint: str | None = field(default=None, metadata=_NOT_OURS)
    otlp_protocol: str = field(default="", metadata=_NOT_OURS)


def read_settings(environ: Mapping[str, str] | None = None) -> tuple[Settings, tuple[str, ...]]:
    """Settings, and what is to be warned of, from the environment; an empty value counts as absent.

    Args:
        environ: ``os.environ`` when None.

    Raises:
        SettingInvalid: A known name has a bad value; names the variable, the value and what is allowed.
    """
    environ = os.environ if environ is None else environ
    known = {f"DRAY_{each.name.upper()}" for each in fields(Settings) if each.metadata.get("ours", True)}
    given = {name: value.strip() for name, value in environ.items() if name in known and value.strip()}
    warnings = [_unknown(name, known) for name in sorted(environ) if _is_stray(name, known)]
    links = [name for name in sorted(given) if name.endswith("_PORT") and _LINK.fullmatch(given[name])]
    warnings += [f"{name}={given.pop(name)!r} is what Kubernetes sets for a Service; it is ignored" for name in links]
    settings = _on_edge(_with_collector(_parse(_Reader(given)), environ), environ)
    _check_together(settings)
    if settings.edge and settings.workers == AUTO:
        settings = replace(settings, workers=1)
    return settings, tuple(warnings)


def _parse(read: "_Reader") -> Settings:
    default = Settings()
    return Settings(
        packages=read.paths("DRAY_PACKAGES", default.packages),
        host=read.host("DRAY_HOST", default.host),
        port=default.port if (port := read.whole("DRAY_PORT", 0, 65535)) is None else port,
        standby_port=read.whole("DRAY_STANDBY_PORT", 1, 65535),
        workers=read.workers("DRAY_WORKERS", default.workers),
        threads=read.whole("DRAY_THREADS", 1, 1024),
        max_batch=read.whole("DRAY_MAX_BATCH", 1, 65536),
        max_delay_us=read.whole("DRAY_MAX_DELAY_US", 0, 10_000_000),
        max_body_mib=read.whole("DRAY_MAX_BODY_MIB", 1, 65536) or default.max_body_mib,
        max_queue=read.whole("DRAY_MAX_QUEUE", 1, 1_000_000) or default.max_queue,
        max_wait_s=read.number("DRAY_MAX_WAIT_S", 0.01, 86400, default.max_wait_s),
        request_timeout_s=read.number("DRAY_REQUEST_TIMEOUT_S", 0.01, 86400, default.request_timeout_s),
        providers=read.providers("DRAY_PROVIDERS"),
        require_providers=read.providers("DRAY_REQUIRE_PROVIDERS"),
        provider_options=read.options("DRAY_PROVIDER_OPTIONS"),
        fallback=read.fallback("DRAY_FALLBACK"),
        api_keys_file=read.file("DRAY_API_KEYS_FILE"),
        tls_cert_file=read.file("DRAY_TLS_CERT_FILE"),
        tls_key_file=read.file("DRAY_TLS_KEY_FILE"),
        fast_path=read.yes("DRAY_FAST_PATH", default.fast_path),
        model_control=read.yes("DRAY_MODEL_CONTROL", default.model_control),
        log_level=read.one_of("DRAY_LOG_LEVEL", _LEVELS, default.log_level),
        sample_rate=read.number("DRAY_SAMPLE_RATE", 0, 1, default.sample_rate),
        sample_file=read.path("DRAY_SAMPLE_FILE"),
        edge_folder=read.path("DRAY_EDGE_FOLDER") or default.edge_folder,
        edge_journal_messages=read.whole("DRAY_EDGE_JOURNAL_MESSAGES", 1, 10_000_000) or default.edge_journal_messages,
        edge_journal_mib=read.whole("DRAY_EDGE_JOURNAL_MIB", 1, 1 << 20) or default.edge_journal_mib,
    )


def _with_collector(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Source: OpenTelemetry, "Environment Variable Specification" and "OpenTelemetry Protocol Exporter"."""
    said = {name: value.strip() for name, value in environ.items() if name.startswith("OTEL_")}
    endpoint = said.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or said.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = said.get("OTEL_SDK_DISABLED", "").lower() == "true" or said.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not endpoint:
        return settings
    protocol = said.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or said.get("OTEL_EXPORTER_OTLP_PROTOCOL") or ""
    return replace(settings, otlp_endpoint=endpoint, otlp_protocol=protocol)


def _on_edge(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Source: Azure IoT Edge, "Understand the IoT Edge runtime": what the edge agent gives every module."""
    if not environ.get("IOTEDGE_WORKLOADURI"):
        return settings
    absent = [name for name in _OF_MODULES if not environ.get(name)]
    if absent:
        raise SettingInvalid(
            f"IOTEDGE_WORKLOADURI is set, {', '.join(absent)} not",
            hint="the edge agent sets all of them; outside of IoT Edge set none",
        )
    return replace(settings, edge=True)


def _check_together(settings: Settings) -> None:
    _check_providers(settings)
    if settings.edge and settings.workers > 1:
        raise SettingInvalid(
            f"DRAY_WORKERS is {settings.workers}, and a module of IoT Edge is one process",
            hint="leave it out; DRAY_THREADS is how many processors a run may use",
        )
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        absent = "DRAY_TLS_CERT_FILE" if settings.tls_cert_file is None else "DRAY_TLS_KEY_FILE"
        raise SettingInvalid(f"{absent} is not set, its counterpart is", hint="TLS needs both, plain HTTP neither")
    if settings.standby_port is not None and settings.standby_port == settings.port:
        raise SettingInvalid(
            f"DRAY_STANDBY_PORT and DRAY_PORT are both {settings.port}",
            hint="the stand-by port is where the process is tested before it takes DRAY_PORT; choose another",
        )


def _check_providers(settings: Settings) -> None:
    named = {*settings.providers, *settings.require_providers}
    if strange := sorted({*settings.provider_options} - named):
        raise SettingInvalid(
            f"DRAY_PROVIDER_OPTIONS has options of {strange[0]}, which neither DRAY_PROVIDERS nor "
            "DRAY_REQUIRE_PROVIDERS names",
            hint="name it there, or leave its options out",
        )
    if settings.fallback is None:
        return
    said = f"DRAY_FALLBACK is {settings.fallback!r}"
    if not named - {_CPU}:
        raise SettingInvalid(f"{said}, and no provider is asked for", hint="name one in DRAY_PROVIDERS")
    if settings.fallback == "forbid" and _CPU in named:
        raise SettingInvalid(f"{said}, and {_CPU} is asked for", hint="leave it out: it is what must not stand in")
    if settings.fallback == "allow" and settings.require_providers:
        raise SettingInvalid(
            f"{said}, and DRAY_REQUIRE_PROVIDERS is set: one lets the CPU stand in, the other does not",
            hint="name the provider in DRAY_PROVIDERS, or leave DRAY_FALLBACK out",
        )


def _is_stray(name: str, known: set[str]) -> bool:
    return name.startswith("DRAY_") and name not in known and name not in _BUILDER_NAMES


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    return f"unknown setting {name} is ignored" + (f" (did you mean {near[0]}?)" if near else "")


class _Reader:
    """Values by name, each parsed or refused by name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def whole(self, name: str, low: int, high: int, hint: str = "", *, word: str = "") -> int | None:
        raw = self._given.get(name)
        if raw is None:
            return None
        # ASCII only: int() would take other scripts' digits and underscores.
        value = int(raw) if re.fullmatch(r"[0-9]{1,12}", raw) else -1
        if not low <= value <= high:
            allowed = str(low) if low == high else f"a whole number from {low} to {high}"
            raise self._bad(name, f"{word} or {allowed}" if word else allowed, hint)
        return value

    def workers(self, name: str, default: int) -> int:
        given = self._given.get(name, "").lower()
        if given == "auto":
            return AUTO if can_fork() else 1
        most = MOST_WORKERS if can_fork() else 1
        hint = f"a worker for each processor is most that helps: auto; above {most} run more containers"
        one = "this system cannot fork safely; run one process, or several containers on Linux"
        return self.whole(name, 1, most, hint if can_fork() else one, word="auto") or default

    def number(self, name: str, low: float, high: float, default: float, hint: str = "") -> float:
        raw = self._given.get(name)
        if raw is None:
            return default
        value = float(raw) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{0,12})?", raw) else -1.0
        if not low <= value <= high:
            raise self._bad(name, f"{low:g}" if low == high else f"a number from {low:g} to {high:g}", hint)
        return value

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self._given.get(name, default).lower()
        if value not in allowed:
            raise self._bad(name, ", ".join(allowed))
        return value

    def yes(self, name: str, default: bool) -> bool:
        return self.one_of(name, ("1", "0", "true", "false"), "1" if default else "0") in ("1", "true")

    def host(self, name: str, default: str) -> str:
        value = self._given.get(name, default)
        bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        if not re.fullmatch(r"[A-Za-z0-9._:%-]+", bare):
            raise self._bad(name, "a host name or an IPv4 or IPv6 address, without a port")
        return bare

    def paths(self, name: str, default: tuple[Path, ...]) -> tuple[Path, ...]:
        if name not in self._given:
            return default
        parts = self._given[name].split(os.pathsep)
        if not all(parts):
            raise self._bad(name, f"package folders separated by {os.pathsep!r}, none of them empty")
        return tuple(Path(part) for part in parts)

    def providers(self, name: str) -> tuple[str, ...]:
        names = [part for part in re.split(r"[,\s]+", self._given.get(name, "")) if part]
        if not all(re.fullmatch(r"[A-Za-z0-9_]+ExecutionProvider", part) for part in names):
            raise self._bad(name, "names such as CUDAExecutionProvider, separated by commas")
        return tuple(dict.fromkeys(names))

    def options(self, name: str) -> Mapping[str, Mapping[str, str]]:
        """Values as ONNX Runtime takes them, which are words."""
        allowed = 'a JSON object such as {"VitisAIExecutionProvider": {"config_file": "/etc/vaip_config.json"}}'
        try:
            given = json.loads(self._given.get(name, "{}"))
        except ValueError:
            given = None
        if not isinstance(given, dict) or not all(isinstance(each, dict) for each in given.values()):
            raise self._bad(name, allowed)
        if not all(isinstance(value, str | int | float) for each in given.values() for value in each.values()):
            raise self._bad(name, f"{allowed}: words, numbers, true or false")
        return {
            provider: {key: value if isinstance(value, str) else json.dumps(value) for key, value in each.items()}
            for provider, each in given.items()
        }

    def fallback(self, name: str) -> Literal["forbid", "allow"] | None:
        if name not in self._given:
            return None
        return "forbid" if self.one_of(name, ("forbid", "allow"), "") == "forbid" else "allow"

    def path(self, name: str) -> Path | None:
        return Path(self._given[name]) if name in self._given else None

    def file(self, name: str) -> Path | None:
        if name not in self._given:
            return None
        path = Path(self._given[name])
        if not path.is_file() or not os.access(path, os.R_OK):
            raise self._bad(name, "a file that this process can read")
        return path

    def _bad(self, name: str, allowed: str, hint: str = "") -> SettingInvalid:
        value = self._given[name]
        return SettingInvalid(
            f"{name} is {value!r}, allowed: {allowed}",
            hint=hint or "set it to an allowed value, or leave it out for the default",
            detail={"name": name, "value": value, "allowed": allowed},
        )
