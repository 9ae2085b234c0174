"""What an API server's refusals mean."""

from typing import Any

import pytest

from packager.core.errors import (
    AdmissionDenied,
    CloudFailed,
    DeploymentMissing,
    FieldConflict,
    Forbidden,
    KindMissing,
    NotSignedIn,
    QuotaReached,
    RequestRefused,
    Throttled,
    Transitioning,
)
from targets.kit.kubernetes.failures import only_own, refusal, status_of


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Unauthorized", NotSignedIn),
        (403, 'deployments.apps is forbidden: User "me" cannot patch resource', Forbidden),
        (403, 'deployments.apps "iris" is forbidden: exceeded quota: compute, requested: cpu=1', QuotaReached),
        (403, 'pods "iris" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', AdmissionDenied),
        (400, 'admission webhook "policy.example" denied the request: no', AdmissionDenied),
        (404, "the server could not find the requested resource", KindMissing),
        (404, "404 page not found", KindMissing),
        (404, 'namespaces "models" not found', DeploymentMissing),
        (409, "the object has been modified; please apply your changes to the latest version", Transitioning),
        (422, 'Deployment.apps "iris" is invalid: spec.replicas', RequestRefused),
        (429, "too many requests", Throttled),
        (500, "etcdserver: request timed out", CloudFailed),
    ],
)
def test_answer_has_its_meaning(status: int, message: str, kind: type[Exception]) -> None:
    error = refusal(status, {"kind": "Status", "message": message}, "deployment/iris")

    assert type(error) is kind
    assert message in error.message or kind is KindMissing
    assert error.hint


def conflict(*managers: str) -> dict[str, Any]:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{each}" using apps/v1',
            "field": ".spec.replicas",
        }
        for each in managers
    ]
    return {"message": "Apply failed", "reason": "Conflict", "details": {"causes": causes}}


def test_conflict_names_managers_and_fields() -> None:
    error = refusal(409, conflict("kubectl-edit"), "deployment/iris")

    assert isinstance(error, FieldConflict)
    assert error.code == "E-FIELD-CONFLICT"
    assert ".spec.replicas (kubectl-edit)" in error.message
    assert "--force-conflicts" in error.hint
    assert error.detail["conflicts"] == [{"manager": "kubectl-edit", "field": ".spec.replicas"}]


def test_conflict_with_oneself_is_none() -> None:
    mine, both = (refusal(409, conflict(*names), "deployment/iris") for names in (["dray-scale"], ["dray", "helm"]))

    assert isinstance(mine, FieldConflict)
    assert isinstance(both, FieldConflict)
    assert only_own(mine)
    assert not only_own(both)


def test_answer_of_a_proxy_is_repeated_as_it_is() -> None:
    assert status_of(b"<html>502</html>") == {"message": "<html>502</html>"}
    assert type(refusal(502, status_of(b"bad gateway"), "x")) is CloudFailed
