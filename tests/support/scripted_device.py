"""A device of IoT Edge as a hub's service API sees it: an agent that reports, and modules with real models."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime as ort

from packager.core.artifact import ModelPackage
from packager.smoke.answers import judge, metadata_of, request_for
from runtime.contract.dtypes import DTYPES
from runtime.contract.wire import InferenceRequest, InferenceResponse, Tensor

Json = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"


@dataclass
class ModelOnDevice:
    """A package's model, answering direct methods as dray's module does."""

    package: ModelPackage
    wrong: bool = False
    session: ort.InferenceSession = field(init=False)

    def __post_init__(self) -> None:
        self.session = ort.InferenceSession(str(self.package.root / "model.onnx"), providers=["CPUExecutionProvider"])

    def call(self, method: str, payload: Any, desired: Json) -> tuple[int, Any]:
        held = (desired.get("dray") or {}).get("hold") in (True, self.package.digest)
        match method:
            case "health":
                return 200, self._health("held" if held else "ready")
            case "predict":
                return self._predict(InferenceRequest.model_validate(payload))
            case "selftest":
                return 200, self._selftest()
        return 404, _error("E-NO-ROUTE", f"there is no direct method {method!r}")

    def _health(self, state: str) -> Json:
        manifest = self.package.manifest
        sides = {
            side: [metadata_of(spec).model_dump() for spec in getattr(manifest.signature, side)]
            for side in ("inputs", "outputs")
        }
        parameters = {"version": manifest.version, "digest": self.package.digest}
        metadata = {"name": manifest.name, "versions": ["1"], "platform": "onnx", "parameters": parameters, **sides}
        return {
            "state": state, "ready": True, "model": manifest.name, "version": manifest.version,
            "digest": self.package.digest, "provider": "CPUExecutionProvider", "reason": None, "metadata": metadata,
        }  # fmt: skip

    def _predict(self, request: InferenceRequest) -> tuple[int, Any]:
        specs = {spec.name: spec for spec in self.package.manifest.signature.inputs}
        unknown = [tensor.name for tensor in request.inputs if tensor.name not in specs]
        if unknown:
            return 400, _error("E-INPUT", f"the model has no input {unknown[0]!r}")
        feed = {
            each.name: np.array(each.data, dtype=DTYPES[each.datatype].numpy).reshape(each.shape)
            for each in request.inputs
        }
        names = [spec.name for spec in self.package.manifest.signature.outputs]
        answers = zip(names, self.session.run(names, feed), strict=True)
        dtypes = {spec.name: spec.dtype for spec in self.package.manifest.signature.outputs}
        shift = 1 if self.wrong else 0
        outputs = [
            Tensor(name=name, shape=list(value.shape), datatype=dtypes[name], data=(value + shift).reshape(-1).tolist())
            for name, value in answers
        ]
        manifest = self.package.manifest
        return 200, InferenceResponse(
            model_name=manifest.name, model_version=manifest.version, outputs=outputs
        ).model_dump(exclude_none=True)

    def _selftest(self) -> Json:
        checks = []
        for case in self.package.test_data_sets():
            request = request_for(case)
            assert request is not None
            _, answer = self._predict(request)
            verdict = judge(case, InferenceResponse.model_validate(answer), self.package)
            checks.append(
                {"name": case.name, "passed": verdict.problem is None, "detail": verdict.problem or "",
                 "max_abs_error": verdict.max_abs_error}
            )  # fmt: skip
        passed = all(each["passed"] for each in checks)
        return {"passed": passed, "digest": self.package.digest, "provider": "CPUExecutionProvider",
                "duration_ms": 1.0, "checks": checks}  # fmt: skip


@dataclass(frozen=True)
class Failing:
    """What becomes of an image that does not run.

    Attributes:
        module: What the agent reports of the module.
        status: ``lastDesiredStatus``.
    """

    module: Mapping[str, Any]
    log: str = ""
    status: Mapping[str, Any] = field(default_factory=lambda: {"code": 200, "description": ""})


Image = ModelOnDevice | Failing


def reported_by(desired: Json, version: int, images: Callable[[str], Image | None], platform: str) -> Json:
    """What an agent reports of its modules once it has dealt with a manifest."""
    modules, status = {}, {"code": 200, "description": ""}
    for name, entry in (desired.get("modules") or {}).items():
        image = images(entry["settings"]["image"])
        found: Json = {
            "type": "docker", "version": entry.get("version"), "settings": entry["settings"], "status": "running",
            "restartPolicy": entry["restartPolicy"], "runtimeStatus": "running", "exitCode": 0, "restartCount": 0,
            "statusDescription": "running", "lastExitTimeUtc": NEVER,
        }  # fmt: skip
        if isinstance(image, Failing):
            found.update(image.module)
            status = dict(image.status)
        modules[name] = found
    return {
        "schemaVersion": "1.1",
        "version": {"version": "1.6.1"},
        "lastDesiredStatus": status,
        "lastDesiredVersion": version,
        "runtime": {"type": "docker", "platform": {"os": "linux", "architecture": platform, "version": "1.6.1"}},
        "systemModules": desired.get("systemModules") or {},
        "modules": modules,
    }


def _error(code: str, message: str) -> Json:
    return {"error": message, "message": message, "error_code": code, "detail": {}, "request_id": "r"}


def log_answer(module: str, text: str) -> list[Json]:
    """As ``GetModuleLogs`` answers."""
    return json.loads(json.dumps([{"id": module, "payloadBytes": None, "payload": text}]))  # type: ignore[no-any-return]
