"""What can be made to go wrong in a rehearsal on Kubernetes, and where it strikes requests."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from targets.rehearsal.kubernetes import errors
from targets.rehearsal.kubernetes.calls import Call
from targets.rehearsal.kubernetes.resources import DEPLOYMENTS
from targets.rehearsal.kubernetes.revisions import set_key
from targets.rehearsal.kubernetes.store import Object
from targets.rehearsal.kubernetes.strikes import Strikes
from targets.rehearsal.world import World

FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "unauthorized": "the token has expired: 401 to every request",
        "forbidden": "the user may read and change nothing: 403 to each change",
        "throttle": "too many requests: 429 with Retry-After, to each change",
        "server-error": "the API server fails by itself: 500 InternalError, to each change",
        "unavailable": "the API server cannot serve at the moment: 503 ServiceUnavailable, to each change",
        "admission": "an admission webhook denies Deployments (403)",
        "quota": "the namespace's quota of Deployments is used up: 403, exceeded quota",
        "pod-quota": "the namespace's quota of CPU is used up: a ReplicaSet cannot create its pods (FailedCreate)",
        "pod-security": "the namespace's Pod Security Standard forbids the pods (FailedCreate)",
        "conflict": "another manager has changed a field of the Deployment meanwhile: 409, unless forced",
        "image-pull": "the registry has a weak moment: ErrImagePull, then ImagePullBackOff; with :1 it recovers",
        "pull-auth": "the registry does not let the cluster in: ImagePullBackOff, 401 Unauthorized",
        "image-missing": "the image is gone when it is pulled: ImagePullBackOff, not found",
        "arch": "the image is for another kind of processor: the container ends with 1, 'exec format error'",
        "config": "the container's configuration names a Secret that is not there: CreateContainerConfigError",
        "unschedulable": "no node has room: the pod stays Pending (FailedScheduling)",
        "crash": "the container ends with exit code 1 soon after each start, a traceback in its log: CrashLoopBackOff",
        "oom": "the container takes more memory than it has: exit code 137, OOMKilled",
        "slow": "the container runs and never becomes ready: the readiness probe gets 503",
        "probe": "the container hangs once it has started: liveness fails and it is restarted, again and again",
        "wrong-answer": "the container serves, and its numbers are wrong: the smoke tests fail",
        "drop": "the change takes effect and the connection is cut before the answer has come",
        "gone-watch": "the history does not reach back to a watch's version: 410 Expired",
        "cut-watch": "a watch's connection is cut soon after it began",
    }
)

USER: Final = "rehearsal"
_RETRY_AFTER_S: Final = 1
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def at_each_request(world: World) -> None:
    """Raises ApiError: this request's token is taken for an expired one."""
    if world.faults.due("unauthorized"):
        raise errors.unauthorized()


def at_each_change(world: World, call: Call) -> None:
    """Strikes the requests that change something.

    Raises:
        ApiError: This one is refused.
    """
    if world.faults.due("throttle"):
        raise errors.throttled(_RETRY_AFTER_S)
    if world.faults.due("forbidden"):
        where = f' in the namespace "{call.namespace}"' if call.namespace else " at the cluster scope"
        why = (
            f'User "{USER}" cannot {_VERBS[call.method]} resource "{call.resource.plural}" '
            f'in API group "{call.resource.group}"{where}'
        )
        raise errors.forbidden(call.resource, call.name, why)
    if world.faults.due("server-error"):
        raise errors.internal("etcdserver: request timed out")
    if world.faults.due("unavailable"):
        raise errors.unavailable("the server is currently unable to handle the request")


def at_a_write(strikes: Strikes, call: Call, found: Object) -> None:
    """Strikes what makes or changes a Deployment, dry or not; not one whose revision has served.

    Raises:
        ApiError: It is refused.
    """
    if call.resource != DEPLOYMENTS or call.subresource:
        return
    revision, name = set_key(found), found["metadata"]["name"]
    if strikes.at(revision, "admission"):
        message = (
            'admission webhook "policy.rehearsal.example" denied the request: '
            "the image's registry is not among those that are allowed"
        )
        raise errors.ApiError(403, "Forbidden", message)
    if strikes.at(revision, "quota"):
        why = (
            "exceeded quota: rehearsal, requested: count/deployments.apps=1, "
            "used: count/deployments.apps=10, limited: count/deployments.apps=10"
        )
        raise errors.forbidden(call.resource, name, why)
