"""What the containers of a node share: threads for what blocks, a client for probes, and whom they tell."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import httpx

from targets.rehearsal.kubernetes.cluster import Cluster
from targets.rehearsal.kubernetes.happenings import Happenings
from targets.rehearsal.kubernetes.store import Object

Given = TypeVar("Given")

_THREADS: Final = 32


class Node:
    """One for all pods.

    Attributes:
        publish: Told of a pod whose containers stand otherwise than before.
    """

    def __init__(self, cluster: Cluster, happenings: Happenings, publish: Callable[[Object], None]) -> None:
        self.cluster = cluster
        self.publish = publish
        # A kubelet does not verify certificates, and takes no proxy.
        self.client = httpx.AsyncClient(verify=False, trust_env=False)  # noqa: S501
        self._happenings = happenings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kubelet")

    async def call(self, work: Callable[[], Given]) -> Given:
        """What a blocking call gives, out of a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def tell(self, pod: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Something happened to a pod."""
        self._happenings.add(pod, reason, message, source="kubelet", warning=warning)

    async def close(self) -> None:
        """Nothing runs any more."""
        await self.client.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
