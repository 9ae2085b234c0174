"""Which handler a path has; ARM reads paths without regard to case."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from targets.rehearsal.arm import group_routes as on_groups
from targets.rehearsal.arm import other_routes as on_others
from targets.rehearsal.arm.bodies import API_VERSION
from targets.rehearsal.arm.calls import Answer, Call
from targets.rehearsal.arm.cloud import Cloud
from targets.rehearsal.arm.errors import PROVIDER
from targets.rehearsal.arm.operations import OPERATIONS_VERSION

Handler = Callable[[Cloud, Call], Answer]

CONTAINER_VERSIONS = (API_VERSION,)
OPERATION_VERSIONS = (OPERATIONS_VERSION, API_VERSION)
RESOURCE_VERSIONS = ("2019-07-01", "2020-06-01", "2021-04-01", "2022-09-01", "2023-07-01", "2024-03-01")
SUBSCRIPTION_VERSIONS = ("2016-06-01", "2020-01-01", "2021-01-01", "2022-12-01")


@dataclass(frozen=True, slots=True)
class Route:
    """A path, and who answers each verb."""

    pattern: re.Pattern[str]
    handlers: dict[str, Handler]
    versions: tuple[str, ...]


def _route(template: str, versions: tuple[str, ...], **handlers: Handler) -> Route:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
    return Route(re.compile(f"{pattern}/?", re.IGNORECASE), handlers, versions)


_SUBSCRIPTION = "/subscriptions/{subscription}"
_RESOURCE_GROUP = f"{_SUBSCRIPTION}/resourceGroups/{{resource_group}}"
_PROVIDER = f"providers/{PROVIDER}"
_GROUP = f"{_RESOURCE_GROUP}/{_PROVIDER}/containerGroups/{{group}}"
_CONTAINER = f"{_GROUP}/containers/{{container}}"
_LOCATION = f"{_SUBSCRIPTION}/{_PROVIDER}/locations/{{location}}"

ROUTES = (
    _route(
        *(_GROUP, CONTAINER_VERSIONS),
        GET=on_groups.get_group,
        PUT=on_groups.put_group,
        PATCH=on_groups.patch_group,
        DELETE=on_groups.delete_group,
    ),
    _route(f"{_RESOURCE_GROUP}/{_PROVIDER}/containerGroups", CONTAINER_VERSIONS, GET=on_groups.list_groups),
    _route(f"{_SUBSCRIPTION}/{_PROVIDER}/containerGroups", CONTAINER_VERSIONS, GET=on_groups.list_groups),
    _route(f"{_GROUP}/start", CONTAINER_VERSIONS, POST=on_groups.start_group),
    _route(f"{_GROUP}/stop", CONTAINER_VERSIONS, POST=on_groups.stop_group),
    _route(f"{_GROUP}/restart", CONTAINER_VERSIONS, POST=on_groups.restart_group),
    _route(f"{_CONTAINER}/logs", CONTAINER_VERSIONS, GET=on_groups.get_logs),
    _route(f"{_CONTAINER}/exec", CONTAINER_VERSIONS, POST=on_others.refuse_exec),
    _route(f"{_CONTAINER}/attach", CONTAINER_VERSIONS, POST=on_others.refuse_attach),
    _route(f"{_LOCATION}/usages", CONTAINER_VERSIONS, GET=on_others.get_usages),
    _route(f"{_LOCATION}/capabilities", CONTAINER_VERSIONS, GET=on_others.get_capabilities),
    _route(f"{_LOCATION}/cachedImages", CONTAINER_VERSIONS, GET=on_others.get_cached_images),
    _route(f"{_LOCATION}/operations/{{operation}}", OPERATION_VERSIONS, GET=on_others.get_operation),
    _route(f"{_LOCATION}/operationresults/{{operation}}", OPERATION_VERSIONS, GET=on_others.get_operation_result),
    _route(f"/{_PROVIDER}/operations", CONTAINER_VERSIONS, GET=on_others.list_provider_operations),
    _route(
        *(_RESOURCE_GROUP, RESOURCE_VERSIONS),
        GET=on_others.get_resource_group,
        HEAD=on_others.head_resource_group,
        PUT=on_others.put_resource_group,
    ),
    _route(f"{_SUBSCRIPTION}/resourceGroups", RESOURCE_VERSIONS, GET=on_others.list_resource_groups),
    _route(f"{_SUBSCRIPTION}/{_PROVIDER}", RESOURCE_VERSIONS, GET=on_others.get_provider),
    _route(_SUBSCRIPTION, SUBSCRIPTION_VERSIONS, GET=on_others.get_subscription),
    _route("/subscriptions", SUBSCRIPTION_VERSIONS, GET=on_others.list_subscriptions),
)
