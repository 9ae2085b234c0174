"""A way to the model on a device: direct methods of its module, which reach it behind any router."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from packager.core.errors import DeploymentMissing, InvocationError, NotReady
from packager.core.protocols import InferenceClient, SelfTesting
from packager.core.smoke import SmokeCheck, SmokeReport
from runtime.contract.wire import ErrorBody, InferenceRequest, InferenceResponse, ModelMetadata
from targets.kit.iothub.hub import AGENT, Hub, is_connected

_Answer = TypeVar("_Answer", bound=BaseModel)
_OK: Final = 200
_ASK_S: Final = 15.0
# Of a direct method's payload. Source: learn.microsoft.com, "Understand and invoke direct methods from IoT Hub".
_MOST_BYTES: Final = 128 * 1024
_SERVES: Final = ("ready", "held")


@dataclass(frozen=True, slots=True)
class Health:
    """What a module says of itself.

    Attributes:
        state: ``starting``, ``ready``, ``held`` or ``failed``.
    """

    state: str
    digest: str
    reason: str
    document: Mapping[str, Any]

    @property
    def serves(self) -> bool:
        """Whether its model is loaded and has passed its self-test."""
        return self.state in _SERVES


@dataclass(frozen=True, slots=True)
class EdgeClient(InferenceClient, SelfTesting):
    """A client of one module on one device."""

    hub: Hub
    device: str
    module: str

    def health(self) -> Health | None:
        """What it says of itself; None while it cannot be asked."""
        try:
            # Who asks this asks again.
            status, answer = self.hub.method(self.device, self.module, "health", {}, timeout_s=_ASK_S, connect_s=0)
        except (InvocationError, DeploymentMissing):  # away, slow, or not made there yet
            return None
        if status != _OK or not isinstance(answer, dict):
            return None
        return Health(str(answer.get("state")), str(answer.get("digest")), _words(answer.get("reason")), answer)

    def ready(self) -> bool:
        """Whether it is ready, on hold or not.

        Raises:
            NotReady: It says that it never will be, or its device is not there to be asked.
        """
        found = self.health()
        if found is None and not is_connected(self.hub.twin(self.device, AGENT)):
            raise NotReady(f"device {self.device!r} is not connected", hint="the same again once it is back")
        if found is not None and found.state == "failed":
            raise never_ready(self.device, found)
        return found is not None and found.serves

    def metadata(self, model: str) -> ModelMetadata:
        """Metadata of the model."""
        status, answer = self.hub.method(self.device, self.module, "health", {}, timeout_s=_ASK_S)
        found = answer.get("metadata") if isinstance(answer, dict) else None
        if status != _OK or not found:
            raise self._refused("health", status, answer)
        return _parsed(ModelMetadata, found, self._where("health"))

    def infer(self, model: str, request: InferenceRequest, *, timeout_s: float) -> InferenceResponse:
        """The answer to one request.

        Raises:
            InvocationError: With the module's own words, or for a request that no method carries.
        """
        body = request.model_dump(exclude_none=True)
        if not self.fits(request):
            raise InvocationError(
                f"the request is larger than the {_MOST_BYTES >> 10} KiB that a direct method carries",
                hint="send fewer rows at once, or send it as a message to the module's input",
            )
        status, answer = self.hub.method(self.device, self.module, "predict", body, timeout_s=timeout_s)
        if status != _OK:
            raise self._refused("predict", status, answer)
        return _parsed(InferenceResponse, answer, self._where("predict"))

    def fits(self, request: InferenceRequest) -> bool:
        """Whether a direct method carries a request."""
        return len(json.dumps(request.model_dump(exclude_none=True), ensure_ascii=False).encode()) <= _MOST_BYTES

    def self_test(self, *, timeout_s: float) -> SmokeReport:
        """The device replays the package's test data on its own processor."""
        status, answer = self.hub.method(self.device, self.module, "selftest", {}, timeout_s=timeout_s)
        if status != _OK or not isinstance(answer, dict):
            raise self._refused("selftest", status, answer)
        checks = [_check(each, self.device) for each in answer.get("checks") or ()]
        passed = bool(answer.get("passed")) and bool(checks)
        wrong = next((f"{check.name}: {check.detail}; " for check in checks if not check.passed), "")
        detail = f"{wrong}{len(checks)} data sets on {answer.get('provider')}, package {answer.get('digest')}"
        whole = SmokeCheck(f"self-test on {self.device}", passed, detail, float(answer.get("duration_ms") or 0.0))
        return SmokeReport((whole, *checks))

    def _where(self, method: str) -> str:
        return f"method {method!r} of module {self.module!r} on device {self.device!r}"

    def _refused(self, method: str, status: int, answer: Any) -> InvocationError:
        """In the module's own words."""
        where = self._where(method)
        try:
            body = ErrorBody.model_validate(answer)
        except ValidationError:
            said = json.dumps(answer, ensure_ascii=False)[:200]
            return InvocationError(f"{where} answered {status}: {said}", hint="look at `dray logs`",
                                   detail={"status": status})  # fmt: skip
        return InvocationError(
            f"{where} answered {status} ({body.error_code}): {body.message}",
            hint="compare the request with the model's signature (`dray inspect`)",
            detail={"status": status, **body.model_dump(include={"error_code", "message", "detail", "request_id"})},
        )


@dataclass(frozen=True, slots=True)
class FleetClient(InferenceClient, SelfTesting):
    """A client of the same module on several devices: all of them must be right."""

    clients: tuple[EdgeClient, ...]

    def ready(self) -> bool:
        """Whether every one is."""
        return all(client.ready() for client in self.clients)

    def metadata(self, model: str) -> ModelMetadata:
        """That of all of them.

        Raises:
            InvocationError: Two devices say different things.
        """
        found = [client.metadata(model) for client in self.clients]
        for client, each in zip(self.clients, found, strict=True):
            if each != found[0]:
                first = self.clients[0].device
                raise InvocationError(
                    f"devices {first!r} and {client.device!r} serve different models",
                    hint="one of them has not got the deployment yet; its agent's twin says why",
                )
        return found[0]

    def infer(self, model: str, request: InferenceRequest, *, timeout_s: float) -> InferenceResponse:
        """The answer of the first; the self-test asks every one."""
        return self.clients[0].infer(model, request, timeout_s=timeout_s)

    def fits(self, request: InferenceRequest) -> bool:
        """Whether a direct method carries a request."""
        return self.clients[0].fits(request)

    def self_test(self, *, timeout_s: float) -> SmokeReport:
        """Every device replays the package's test data."""
        reports = [client.self_test(timeout_s=timeout_s) for client in self.clients]
        return SmokeReport(tuple(check for report in reports for check in report.checks))


def never_ready(device: str, health: Health) -> NotReady:
    """It says itself that it never will be ready."""
    return NotReady(
        f"the module on device {device!r} will not become ready: {health.reason or 'it does not say why'}",
        hint="`dray logs` says more",
        detail={"health": dict(health.document)},
    )


def _check(found: Mapping[str, Any], device: str) -> SmokeCheck:
    error = found.get("max_abs_error")
    return SmokeCheck(
        f"{found.get('name')} on {device}",
        bool(found.get("passed")),
        str(found.get("detail") or ("right" if found.get("passed") else "it does not say why")),
        float(found.get("duration_ms") or 0.0),
        float(error) if isinstance(error, int | float) else None,
    )


def _parsed(form: type[_Answer], answer: Any, where: str) -> _Answer:
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        said = json.dumps(answer, ensure_ascii=False)[:200]
        raise InvocationError(
            f"{where} did not answer in the Open Inference Protocol: {said}", hint="is the module dray's?"
        ) from error


def _words(reason: Any) -> str:
    """A reason, which is a text or an error object."""
    if isinstance(reason, Mapping):
        code = reason.get("error_code") or reason.get("code")
        return f"{reason.get('message') or reason}{f' ({code})' if code else ''}"
    return str(reason or "")
