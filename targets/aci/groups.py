"""Container groups of a subscription: what the SDK can do, in our types, with our errors and our patience."""

import logging
import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from packager.core.errors import (
    DeploymentFailed,
    DeploymentMissing,
    DrayError,
    NotReady,
    PullDenied,
    RegistryUnavailable,
    ResourceGroupMissing,
    Transitioning,
)
from packager.core.extras import require_extra
from packager.core.progress import Progress
from targets.aci.body import CONTAINER
from targets.aci.state import Group
from targets.kit.azure.access import AzureAccess
from targets.kit.azure.failures import azure_errors, has_code

if TYPE_CHECKING:
    from azure.mgmt.containerinstance import models as sdk

logger = logging.getLogger(__name__)
_T = TypeVar("_T")
_LOOK_S: Final = 0.2
# What Azure says of an image is often wrong for a moment, and so is what a registry says of itself.
_PULL_TRIES: Final = 4
_PULL_WAIT_S: Final = 10.0
_RESOURCES_VERSION: Final = "2021-04-01"


def nothing() -> None:
    """What is done meanwhile, where nothing is."""


class ContainerGroups:
    """The groups that one access leads to; close it, or use it as a context manager."""

    def __init__(self, access: AzureAccess) -> None:
        """Connects on first use.

        Raises:
            EnvironmentMissing: The extra ``azure`` is not installed.
        """
        require_extra("azure")
        from azure.mgmt.containerinstance import ContainerInstanceManagementClient  # kept out of start-up

        self.access = access
        self._client = ContainerInstanceManagementClient(subscription_id=access.subscription, **access.client_options())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def get(self, resource_group: str, name: str) -> Group | None:
        """A group as it is now; None where there is none."""
        try:
            with azure_errors(f"container group {name!r}"):
                found = self._client.container_groups.get(resource_group, name)
        except DeploymentMissing:
            return None
        return _group(found)

    def list(self, resource_group: str | None) -> tuple[Group, ...]:
        """Groups that dray made, by name, without how they go; of the whole subscription where no group is named."""
        operations = self._client.container_groups
        with azure_errors("the list of container groups"):
            pages = operations.list_by_resource_group(resource_group) if resource_group else operations.list()
            found = [_group(each) for each in pages]
        return tuple(
            sorted((each for each in found if _readable(each)), key=lambda each: (each.name, each.resource_group))
        )

    def put(
        self,
        resource_group: str,
        name: str,
        model: "sdk.ContainerGroup",
        progress: Progress,
        *,
        until: float,
        patience_s: float = math.inf,
        refuse: Callable[[], None] = nothing,
    ) -> Group:
        """Make a group, or put another in its place, and wait until Azure has done it.

        Args:
            until: On the monotonic clock.
            patience_s: How long another change is waited for.
            refuse: Called when another change is under way; raises where that is another command's.

        Raises:
            DrayError: Azure's cause; InaccessibleImage and RegistryErrorResponse after several tries.
        """
        what = f"container group {name!r}"

        def once() -> Group:
            with azure_errors(what):
                poller = self._client.container_groups.begin_create_or_update(resource_group, name, model)
                return _group(self._wait(poller, what, until))

        return self._patiently(once, progress, until, refuse, patience_s)

    def tag(self, resource_group: str, name: str, tags: dict[str, str]) -> Group:
        """Give a group these tags instead of those that it has; nothing restarts."""
        from azure.mgmt.containerinstance import models as sdk

        with azure_errors(f"the tags of container group {name!r}"):
            return _group(self._client.container_groups.update(resource_group, name, sdk.Resource(tags=tags)))

    def delete(
        self,
        resource_group: str,
        name: str,
        progress: Progress,
        *,
        until: float,
        refuse: Callable[[], None] = nothing,
    ) -> None:
        """End a group and all that runs in it; gone already is fine."""
        what = f"the end of container group {name!r}"

        def once() -> None:
            with azure_errors(what):
                self._wait(self._client.container_groups.begin_delete(resource_group, name), what, until)

        try:
            self._patiently(once, progress, until, refuse)
        except (DeploymentMissing, ResourceGroupMissing):
            logger.debug("%s is gone already", name)

    def log(self, resource_group: str, name: str, *, tail: int | None = None) -> str:
        """What our container has written; empty where there is none that could have."""
        try:
            with azure_errors(f"the log of container group {name!r}"):
                logs = self._client.containers.list_logs(resource_group, name, CONTAINER, tail=tail)
        except DeploymentMissing:
            return ""
        return str(logs.content or "")

    def usages(self, region: str) -> dict[str, tuple[int, int]]:
        """Used and allowed, by the name of what is counted."""
        with azure_errors(f"the quota in {region}"):
            rows = [dict(row.serialize(keep_readonly=True)) for row in self._client.location.list_usage(region)]
        return {
            str(row["name"]["value"]): (int(row["currentValue"]), int(row["limit"]))
            for row in rows
            if (row.get("name") or {}).get("value") and None not in (row.get("currentValue"), row.get("limit"))
        }

    def capabilities(self, region: str) -> tuple[dict[str, Any], ...]:
        """What one group may ask for in a region, by address type and GPU."""
        with azure_errors(f"what {region} has"):
            return tuple(
                dict(row.serialize(keep_readonly=True)) for row in self._client.location.list_capabilities(region)
            )

    def resource_group_region(self, name: str) -> str:
        """The region of a resource group.

        Raises:
            ResourceGroupMissing: There is none.
        """
        from azure.core.rest import HttpRequest

        path = f"/subscriptions/{self.access.subscription}/resourcegroups/{name}"
        with azure_errors(f"resource group {name!r}"):
            # The SDK's own way for what it has no method for.
            answer = self._client._send_request(HttpRequest("GET", path, params={"api-version": _RESOURCES_VERSION}))
            answer.raise_for_status()
            return str(answer.json()["location"])

    def _wait(self, poller: Any, what: str, until: float) -> Any:
        while not poller.done():
            poller.wait(_LOOK_S)
            if time.monotonic() >= until and not poller.done():
                raise NotReady(f"Azure has not finished {what} in the time that it was given", hint="raise --timeout")
        return poller.result()

    def _patiently(
        self,
        once: Callable[[], _T],
        progress: Progress,
        until: float,
        refuse: Callable[[], None],
        patience_s: float = math.inf,
    ) -> _T:
        """Again while another change is under way, and a few times where Azure says that it cannot read the image."""
        pulls, calm_by = 1, time.monotonic() + patience_s
        while True:
            try:
                return once()
            except Transitioning as error:
                refuse()
                wait = self.access.poll_s
                self._sleep_or_raise(error, wait, min(until, calm_by), progress)
            except (PullDenied, RegistryUnavailable) as error:
                pulls += 1
                if pulls > _PULL_TRIES or not has_code(error, "InaccessibleImage", "RegistryErrorResponse"):
                    raise
                self._sleep_or_raise(error, min(_PULL_WAIT_S, self.access.poll_s) * pulls, until, progress)

    def _sleep_or_raise(self, error: DrayError, wait_s: float, until: float, progress: Progress) -> None:
        if time.monotonic() + wait_s >= until:
            raise error
        progress.detail(f"{error.message}; trying again in {wait_s:.3g} s")
        time.sleep(wait_s)


def _readable(group: Group) -> bool:
    """Whether dray made it; one whose tags somebody broke must not stand in the way of all others."""
    try:
        if group.ours:
            group.facts.served.chosen()
            return True
    except DeploymentFailed as error:
        logger.warning("container group %s is passed over: %s", group.name, error.message)
    return False


def _group(model: Any) -> Group:
    return Group(model.serialize(keep_readonly=True))
