"""What each request must pass, and which handler answers it."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from targets.rehearsal.kubernetes import errors, faults, scaling, viewing, writing
from targets.rehearsal.kubernetes.calls import Answer, Call, Stream
from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.deleting import Deletions
from targets.rehearsal.kubernetes.discovery import described
from targets.rehearsal.kubernetes.kubelet import Kubelet
from targets.rehearsal.kubernetes.logs import logs
from targets.rehearsal.kubernetes.paths import Place, place_of
from targets.rehearsal.kubernetes.reviews import review
from targets.rehearsal.world import World

_CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Gate:
    """All requests of the API."""

    def __init__(self, cluster: Cluster, deletions: Deletions, kubelet: Kubelet) -> None:
        self._cluster = cluster
        self._deletions = deletions
        self._kubelet = kubelet

    async def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], content: bytes
    ) -> Answer | Stream:
        """What is sent back.

        Raises:
            ApiError: The request is refused, here or by its handler.
        """
        authorise(self._cluster.world, headers)
        known = described(method, path)
        if known is not None:
            return known
        reviewed = review(method, path, content)
        if reviewed is not None:
            return reviewed
        place = place_of(path)
        call = Call(method, place.resource, place.namespace, place.name, place.subresource, query, headers, content)
        if method in _CHANGES:
            return self._change(call)
        if method not in ("GET", "HEAD"):
            raise errors.wrong_method()
        return await self._look(call, place)

    def _change(self, call: Call) -> Answer:
        faults.at_each_change(self._cluster.world, call)
        given = self._changed(call)
        return replace(given, cut=True) if self._cluster.world.faults.due("drop") else given

    def _changed(self, call: Call) -> Answer:
        if call.subresource == "scale":
            return scaling.change(self._cluster, call)
        if call.subresource not in ("", "status"):
            raise errors.wrong_method()
        match call.method, bool(call.name):
            case "POST", False if not call.resource.namespaced or call.namespace:
                return writing.create(self._cluster, call)
            case "PUT", True:
                return writing.replace(self._cluster, call)
            case "PATCH", True:
                return writing.patch(self._cluster, call)
            case "DELETE", True:
                return writing.delete(self._cluster, self._deletions, call)
            case "DELETE", False:
                return writing.delete_all(self._cluster, self._deletions, call)
        raise errors.wrong_method()

    async def _look(self, call: Call, place: Place) -> Answer | Stream:
        if call.subresource == "scale":
            return scaling.get(self._cluster, call)
        if call.subresource == "log":
            return await logs(self._cluster, self._kubelet, call)
        if call.subresource == "portforward":
            raise errors.bad_request("Upgrade request required")
        if call.flag("watch") or place.watched:
            return viewing.watch(self._cluster, call)
        return viewing.get(self._cluster, call) if call.name else viewing.list_all(self._cluster, call)


def authorise(world: World, headers: Mapping[str, str]) -> None:
    """Raises ApiError: it does not carry this stand-in's token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), world.token.encode()):
        raise errors.unauthorized()
    faults.at_each_request(world)
