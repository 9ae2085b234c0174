"""Questions about rights, which the holder of the token has all of."""

from typing import Any, Final

from targets.rehearsal.kubernetes.calls import Answer
from targets.rehearsal.kubernetes.errors import wrong_method
from targets.rehearsal.kubernetes.faults import USER
from targets.rehearsal.kubernetes.reading import parsed

_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_RULES: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_WHO: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


# What kubectl asks with; whatever it asks, the answer is the same.
_PROTOBUF: Final = b"k8s\x00"
_KINDS: Final = {_ACCESS: "SelfSubjectAccessReview", _RULES: "SelfSubjectRulesReview", _WHO: "SelfSubjectReview"}


def review(method: str, path: str, content: bytes) -> Answer | None:
    """The answer to such a question; None where it is none."""
    if path not in (_ACCESS, _RULES, _WHO):
        return None
    if method != "POST":
        raise wrong_method()
    asked = {} if content.startswith(_PROTOBUF) else parsed(content)
    status: dict[str, Any]
    if path == _ACCESS:
        status = {"allowed": True, "reason": "the token of a rehearsal may do everything in it"}
    elif path == _RULES:
        status = {
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": False,
        }
    else:
        status = {"userInfo": {"username": USER, "groups": ["system:masters", "system:authenticated"]}}
    version = path.removeprefix("/apis/").rpartition("/")[0]
    return Answer(201, {"apiVersion": version, "kind": _KINDS[path], "spec": {}, **asked, "status": status})
