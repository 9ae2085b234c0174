"""What an API server's refusals mean, in our words: by its reason and causes first, by the HTTP status last.

Source: kubernetes.io, "API concepts", and ``metav1.Status`` of k8s.io/apimachinery.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from packager.core.errors import (
    AdmissionDenied,
    CloudFailed,
    CloudUnreachable,
    DeploymentMissing,
    DrayError,
    FieldConflict,
    Forbidden,
    KindMissing,
    NotSignedIn,
    QuotaReached,
    RequestRefused,
    Throttled,
    Transitioning,
)

_UNAUTHORIZED, _FORBIDDEN, _MISSING, _CONFLICT, _TOO_MANY, _SERVER = 401, 403, 404, 409, 429, 500
_MANAGER: Final = re.compile(r'conflict with "(?P<manager>[^"]*)"')
_QUOTA: Final = re.compile(r"exceeded quota|must specify (limits|requests)", re.IGNORECASE)
_ADMISSION: Final = re.compile(
    r"admission webhook|violates PodSecurity|ValidatingAdmissionPolicy|violates the policy|denied the request",
    re.IGNORECASE,
)
# Ours, whatever they wrote it for: a conflict with ourselves is none.
OWN_MANAGERS: Final = frozenset({"dray", "dray-scale"})


def refusal(status: int, document: Mapping[str, Any], what: str) -> DrayError:
    """The error for an answer that is none of success.

    Args:
        document: A ``Status`` as the server sent it; empty where it sent something else.
        what: Was asked for, in words that fit into "the cluster refused …".
    """
    said = _one_line(str(document.get("message") or f"HTTP {status}"))
    causes = (document.get("details") or {}).get("causes") or ()
    detail = {"status": status, "reason": document.get("reason"), "causes": list(causes)}
    if conflicts := [each for each in causes if each.get("reason") == "FieldManagerConflict"]:
        return _conflict(what, conflicts, detail)
    if told := by_words(said, what, detail):
        return told
    return _by_status(status, what, said, detail)


def by_words(said: str, what: str, detail: Mapping[str, Any]) -> DrayError | None:
    """The error of what controllers and admission say in the same words, wherever they say it."""
    if _QUOTA.search(said):
        hint = "delete what is not needed, ask for less (cpu_millicores, memory_mib, replicas), or for a larger quota"
        return QuotaReached(f"a quota of the namespace stops {what}: {said}", hint=hint, detail=detail)
    if _ADMISSION.search(said):
        hint = "ask who runs the cluster; `dray plan -o yaml` shows what is applied"
        return AdmissionDenied(f"a rule of the cluster stops {what}: {said}", hint=hint, detail=detail)
    return None


def unreachable(error: BaseException, what: str, where: str) -> CloudUnreachable:
    """The error for no answer at all."""
    words = _one_line(str(error))
    certificate = "certificate" in words.lower()
    return CloudUnreachable(
        f"the Kubernetes API of {where} did not answer about {what}: {words}",
        hint="the kubeconfig's certificate authority is another one; get it anew (az aks get-credentials)"
        if certificate
        else "is the cluster running, and reachable from here? `kubectl cluster-info` asks the same",
    )


def status_of(body: bytes) -> Mapping[str, Any]:
    """The ``Status`` in an answer; one with its text where it is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {"message": body.decode("utf-8", "replace")[:600]} if body else {}
    return document if isinstance(document, Mapping) else {}


def only_own(error: FieldConflict) -> bool:
    """Whether a conflict is with nothing but what dray itself wrote in another way."""
    return {each["manager"] for each in error.detail["conflicts"]} <= OWN_MANAGERS


def _conflict(what: str, causes: list[Mapping[str, Any]], detail: Mapping[str, Any]) -> FieldConflict:
    found = [{"manager": _manager(each), "field": str(each.get("field") or "")} for each in causes]
    fields = sorted({f"{each['field']} ({each['manager']})" for each in found})
    return FieldConflict(
        f"{what} has fields that others own: {', '.join(fields)}",
        hint="leave the setting out so that theirs stays, or take the fields: --force-conflicts",
        detail={**detail, "conflicts": found},
    )


def _manager(cause: Mapping[str, Any]) -> str:
    found = _MANAGER.search(str(cause.get("message") or ""))
    return found["manager"] if found else "unknown"


def _by_status(status: int, what: str, said: str, detail: Mapping[str, Any]) -> DrayError:
    message = f"the cluster refused {what}: {said}"
    if status == _UNAUTHORIZED:
        hint = "sign in again: az aks get-credentials, kubelogin, or the login of your cluster"
        return NotSignedIn(message, hint=hint, detail=detail)
    if status == _FORBIDDEN:
        hint = "ask for the role edit (Azure Kubernetes Service RBAC Writer) in the namespace"
        return Forbidden(message, hint=hint, detail=detail)
    if status == _MISSING and ("could not find the requested resource" in said or "page not found" in said):
        return KindMissing(
            f"the cluster does not know {what}: what brings this kind is not installed",
            hint="Gateway API, KEDA and KServe are add-ons: enable it, or leave the setting out",
            detail=detail,
        )
    if status == _MISSING:
        return DeploymentMissing(f"there is no {what}: {said}", hint="`dray status` lists what is there", detail=detail)
    if status == _CONFLICT:
        return Transitioning(f"{what} was changed at the same moment: {said}", hint="run it again", detail=detail)
    if status == _TOO_MANY:
        return Throttled(message, hint="again in some minutes", detail=detail)
    if status >= _SERVER:
        return CloudFailed(f"the cluster failed at {what}: {said}", hint="again later", detail=detail)
    return RequestRefused(message, hint="`dray plan -o yaml` shows what was sent", detail=detail)


def _one_line(text: str, limit: int = 600) -> str:
    words = " ".join(text.split())
    return words[:limit] + ("…" if len(words) > limit else "")
