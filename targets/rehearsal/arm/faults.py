"""What can be made to go wrong in a rehearsal on Azure Container Instances, and where it strikes."""

from collections.abc import Mapping
from math import ceil
from types import MappingProxyType
from typing import Final

from targets.rehearsal.arm import errors, resource_errors
from targets.rehearsal.arm.calls import Call
from targets.rehearsal.arm.errors import GROUP_TYPE
from targets.rehearsal.arm.rates import kind_of
from targets.rehearsal.clock import now
from targets.rehearsal.world import World

FAULTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "quota": "the region's quota is used up: the group is refused (ContainerGroupQuotaReached)",
        "capacity": "the region has no room at this moment: the group is refused (ServiceUnavailable)",
        "pull-auth": "the registry does not let Azure in: the group is refused (InaccessibleImage)",
        "pull": "the registry has a weak moment; with :1 the next try succeeds (InaccessibleImage)",
        "image-missing": "the image is gone when it is pulled: events tell it, then the operation fails",
        "registry": "the registry answers with an error of its own (RegistryErrorResponse)",
        "arch": "the image is for another kind of processor: the container ends with 1, 'exec format error'",
        "crash": "the container ends with exit code 1 soon after each start, a traceback in its log",
        "oom": "the container takes more memory than it has: exit code 137, OOMKilled",
        "slow": "the container runs and never becomes ready: 503 to all but whether it lives",
        "wrong-answer": "the container serves, and its numbers are wrong: the smoke tests fail",
        "throttle": "too many requests: 429 with Retry-After, to each change",
        "forbidden": "the principal may read and change nothing: 403 AuthorizationFailed",
        "unauthorized": "the token has expired: 401 to every request",
        "transitioning": "an earlier change is still under way: 409 ContainerGroupTransitioning",
        "no-group": "the resource group does not exist (ResourceGroupNotFound), to every request about it",
        "dns": "the DNS label is somebody else's (DnsNameLabelAlreadyTaken)",
        "invalid": "the body is refused (InvalidRequestContent)",
        "server-error": "Azure fails by itself: 500 InternalServerError, to each change",
        "lro-failed": "the change is accepted and fails later: the operation says Failed, with HTTP 200",
        "stuck": "the change is accepted and never ends; only deleting the group ends it",
        "drop": "the change takes effect and the connection is cut before the answer has come",
    }
)

_RETRY_AFTER_S: Final = 1
_REHEARSED: Final = (
    "Could not find member 'rehearsed' on object of type 'ContainerGroup'. Path 'rehearsed', line 1, position 14."
)


def at_each_request(world: World) -> None:
    """Raises ArmError: this request's token is taken for an expired one."""
    if world.faults.due("unauthorized"):
        raise resource_errors.expired_token(now())


def at_each_change(world: World, call: Call) -> None:
    """Strikes the requests that make, start, stop or delete a group.

    Raises:
        ArmError: This one is refused.
    """
    if world.faults.due("throttle"):
        raise resource_errors.throttled(call.subscription, kind_of(call.method), _RETRY_AFTER_S)
    if world.faults.due("forbidden"):
        verb = {"PUT": "write", "DELETE": "delete"}.get(call.method, f"{call.path.rpartition('/')[2]}/action")
        raise resource_errors.forbidden(f"{GROUP_TYPE}/{verb}", str(call.group))
    if world.faults.due("server-error"):
        raise errors.internal(call.activity, call.correlation)


def before_a_change(world: World, group: str) -> None:
    """Raises ArmError: the group is said to be changing already."""
    if world.faults.due("transitioning"):
        raise errors.transitioning(group)


def at_a_put(world: World, *, group: str, region: str, cpu: float, memory: float, label: str | None) -> None:
    """Raises ArmError: a group whose body is right is refused for what stands around it."""
    if world.faults.due("invalid"):
        raise errors.invalid_content(_REHEARSED)
    if world.faults.due("quota"):
        raise errors.quota_reached("StandardCores", region, limit=10, usage=10, requested=ceil(cpu))
    if world.faults.due("capacity"):
        raise errors.no_capacity(region, cpu=cpu, memory=memory, system="Linux")
    if label is not None and world.faults.due("dns"):
        raise errors.label_taken(label, group)


def at_a_pull(world: World, *, image: str, registry: str, group: str) -> None:
    """Raises ArmError: an image cannot be had."""
    if world.faults.due("pull-auth") or world.faults.due("pull"):
        raise errors.inaccessible_image(image, group)
    if world.faults.due("registry"):
        raise errors.registry_failed(registry)
