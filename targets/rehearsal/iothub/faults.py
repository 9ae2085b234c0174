"""What can be made to go wrong in a rehearsal of IoT Edge, and where it strikes requests and modules."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

from targets.rehearsal.doomed import ENDS, DoomedRunner
from targets.rehearsal.iothub.errors import HubError, no_device
from targets.rehearsal.workload import PullRefused, Runner
from targets.rehearsal.world import Faults
from targets.rehearsal.wrong_numbers import tampered

FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unauthorized": "the token is not good any more: 401 to every request",
        "forbidden": "the policy has no right to change anything: 403 to each change",
        "throttle": "too many requests: 429 with Retry-After, to each change",
        "quota": "the hub's messages of the day are used up: 403 IotHubQuotaExceeded, to each change",
        "server-error": "the hub fails by itself: 500 ServerError, to each change",
        "drop": "the change takes effect and the connection is cut before the answer has come",
        "device-missing": "there is no such device: 404 to every request about one",
        "precondition": "somebody else has changed it meanwhile: 412 to a change with If-Match",
        "offline": "the device loses its connection as modules are applied, as long as the fault holds",
        "image-pull": "the registry has a weak moment: the agent cannot pull; with :1 it recovers",
        "pull-auth": "the registry does not let the device in: 401 Unauthorized",
        "image-missing": "the image is gone when it is pulled: manifest unknown",
        "arch": "the image is for another kind of processor: the module ends with 1, 'exec format error'",
        "crash": "the module ends with exit code 1 soon after each start, a traceback in its log",
        "oom": "the module takes more memory than it has: exit code 137",
        "slow": "the module runs and never becomes ready",
        "wrong-answer": "the module answers, and its numbers are wrong: its self-test fails",
        "method-timeout": "the module never answers direct methods: 504",
        "broker-cut": "the edge hub is away for 3 s soon after the module connected",
    }
)

Stain = Literal["", "slow", "wrong-answer", "method-timeout"]
_STAINS: Final[tuple[Stain, ...]] = ("slow", "wrong-answer", "method-timeout")
_CHANGES: Final = frozenset({"PUT", "PATCH", "DELETE"})


class Strikes:
    """Whom a fault of a module strikes: what is new, and never an image that has served here before."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._sound: set[tuple[str, str, str]] = set()

    def at(self, key: tuple[str, str, str], name: str) -> bool:
        """Whether a fault strikes a device's module of an image now."""
        return key not in self._sound and self._faults.due(name)

    def serves(self, key: tuple[str, str, str]) -> None:
        """It is sound from now on."""
        self._sound.add(key)

    def forget(self, device: str, module: str) -> None:
        """The module is gone; one like it would be new."""
        self._sound = {key for key in self._sound if key[:2] != (device, module)}


def at_each_request(faults: Faults, method: str, path: str, *, conditional: bool) -> None:
    """Raises HubError: this one is refused."""
    if faults.due("unauthorized"):
        raise HubError("IotHubUnauthorizedAccess", "Unauthorized")
    parts = path.split("/")
    if parts[1] in ("devices", "twins") and len(parts) > 2 and parts[2] != "query" and faults.due("device-missing"):
        raise no_device(parts[2])
    if not changes(method, path):
        return
    if faults.due("throttle"):
        raise HubError("ThrottlingException", "Too many requests. Throttle policy is applied.")
    if faults.due("forbidden"):
        raise HubError("IotHubUnauthorized", "The policy lacks RegistryWrite.")
    if faults.due("quota"):
        raise HubError(
            "IotHubQuotaExceeded", "Total number of messages on IotHub 'rehearsal' exceeded the allocated quota."
        )
    if faults.due("server-error"):
        raise HubError("ServerError", "ServerError")
    if conditional and faults.due("precondition"):
        raise HubError("PreconditionFailed", "Precondition failed: Device version did not match")


def changes(method: str, path: str) -> bool:
    """Whether a request changes something."""
    return method in _CHANGES or (method == "POST" and path.endswith("/applyConfigurationContent"))


def at_a_pull(strikes: Strikes, key: tuple[str, str, str]) -> None:
    """Raises PullRefused: this one is refused."""
    image = key[2]
    if strikes.at(key, "image-pull"):
        raise PullRefused("unreachable", f"failed to pull {image}: Client.Timeout exceeded while awaiting headers")
    if strikes.at(key, "pull-auth"):
        raise PullRefused("denied", f"pull access denied for {image}: 401 Unauthorized, authentication required")
    if strikes.at(key, "image-missing"):
        raise PullRefused("missing", f"manifest for {image} not found: manifest unknown")


def runner_for(strikes: Strikes, key: tuple[str, str, str], runner: Runner) -> Runner:
    """What runs a module: the stand-in's own runner, or one in front of it that a fault has put there."""
    for name, end in ENDS.items():
        if strikes.at(key, name):
            return DoomedRunner(runner, end)
    return runner


def stain_for(strikes: Strikes, key: tuple[str, str, str]) -> Stain:
    """How a module that runs is spoilt; empty for not at all."""
    return next((name for name in _STAINS if strikes.at(key, name)), "")


def stained_method(stain: Stain, method: str, status: int, payload: Any) -> tuple[int, Any] | None:
    """A direct method's answer as a fault has it; None where none comes."""
    if stain == "method-timeout":
        return None
    if stain == "slow":
        if method == "health" and isinstance(payload, dict):
            return status, {**payload, "state": "starting", "ready": False}
        return (503, {"error": "the model is not ready"}) if method in ("predict", "selftest") else (status, payload)
    if stain == "wrong-answer" and isinstance(payload, dict) and status == 200:
        return status, _wrong(method, payload)
    return status, payload


def stained_body(stain: Stain, output: str, body: bytes) -> bytes:
    """A message of a module as a fault has it."""
    return tampered(body, {}) if stain == "wrong-answer" and output != "errors" else body


def stained_report(stain: Stain, patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Reported properties as a fault has them."""
    dray = patch.get("dray")
    if stain != "slow" or not isinstance(dray, dict) or "state" not in dray:
        return patch
    return {**patch, "dray": {**dray, "state": "starting"}}


def _wrong(method: str, payload: dict[str, Any]) -> dict[str, Any]:
    import json

    if method == "selftest":
        checks = [
            {**each, "passed": False, "detail": "answers differ (rehearsed fault: wrong-answer)", "max_abs_error": 1.0}
            for each in payload.get("checks", ())
        ]
        return {**payload, "passed": False, "checks": checks}
    if method != "predict":
        return payload
    return dict(json.loads(tampered(json.dumps(payload).encode(), {})))
