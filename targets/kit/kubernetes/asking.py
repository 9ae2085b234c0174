"""Asking a pod that runs and is not ready what it says of itself: some never will be, and say so."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from packager.core.errors import InvocationError
from packager.core.http_client import HttpInferenceClient, ServerState
from targets.kit import endings
from targets.kit.kubernetes.causes import TAIL, is_ready
from targets.kit.kubernetes.cluster import Cluster, Object
from targets.kit.kubernetes.objects.wanted import CONTAINER, PORT
from targets.kit.kubernetes.portforward import forwarded

logger = logging.getLogger(__name__)
_EVERY_S: Final = 2.0
_ASK_S: Final = 2.0


@dataclass(slots=True)
class Asking:
    """Which pods were asked, and when; each gets some time first."""

    asked: dict[str, float] = field(default_factory=dict)

    def refuse_if_failed(self, cluster: Cluster, pods: Sequence[Object], now: float) -> None:
        """Raises NotReady: one of the pods says that it never will be.

        Args:
            now: On the monotonic clock.
        """
        for pod in pods:
            name = str(pod["metadata"]["name"])
            if is_ready(pod) or not _runs(pod) or now - self.asked.setdefault(name, now) < _EVERY_S:
                continue
            self.asked[name] = now
            if (state := _state(cluster, name)) and state.state == "failed":
                raise endings.never_ready(state, cluster.log(name, CONTAINER, tail=TAIL), pod=name)


def _runs(pod: Mapping[str, object]) -> bool:
    status = pod.get("status")
    containers = status.get("containerStatuses") if isinstance(status, Mapping) else None
    return bool(containers) and all("running" in (each.get("state") or {}) for each in containers or ())


def _state(cluster: Cluster, pod: str) -> ServerState | None:
    try:
        with (
            forwarded(cluster.access, cluster.namespace, pod, PORT) as url,
            HttpInferenceClient(url, connect_timeout_s=_ASK_S, timeout_s=_ASK_S) as client,
        ):
            return client.state()
    except InvocationError as error:  # who may not forward finds out at the deadline
        logger.info("pod/%s was not asked: %s", pod, error.message)
        return None
