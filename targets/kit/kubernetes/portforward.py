"""A way to one pod through the API server, as ``kubectl port-forward`` has it: a port of this machine.

Every connection to the port is carried over a connection of its own to the API server.
"""

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from packager.core.errors import InvocationError
from targets.kit.kubernetes.access import KubernetesAccess

logger = logging.getLogger(__name__)
_JOIN_S: Final = 5.0
_BLOCK: Final = 65536


@contextmanager
def forwarded(access: KubernetesAccess, namespace: str, pod: str, port: int) -> Iterator[str]:
    """The URL, on this machine, of a pod's port; ends with the block.

    Raises:
        InvocationError: The API server does not forward to it.
    """
    forwarder = _Forwarder(access, namespace, pod, port)
    forwarder.probe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()
        thread = threading.Thread(target=forwarder.serve, args=(listener, ending), name="port-forward", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ending.set()
            # What waits for a connection gets one.
            with suppress(OSError):
                socket.create_connection(listener.getsockname(), _JOIN_S).close()
            thread.join(_JOIN_S)
            forwarder.close()


class _Forwarder:
    def __init__(self, access: KubernetesAccess, namespace: str, pod: str, port: int) -> None:
        self._access = access
        self._namespace = namespace
        self._pod = pod
        self._port = port
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()

    def probe(self) -> None:
        """Raises InvocationError where the API server does not forward."""
        with suppress(OSError):
            self._remote().close()

    def serve(self, listener: socket.socket, ending: threading.Event) -> None:
        """Take connections until the end is said."""
        while True:
            try:
                local, _ = listener.accept()
            except OSError:
                return
            if ending.is_set():
                local.close()
                return
            threading.Thread(target=self._carry, args=(local,), daemon=True).start()

    def close(self) -> None:
        """End the connections that are still open."""
        with self._lock:
            still = list(self._open)
        for each in still:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _carry(self, local: socket.socket) -> None:
        try:
            remote = self._remote()
        except InvocationError as error:
            logger.info("%s", error.message)
            local.close()
            return
        with self._lock:
            self._open += [local, remote]
        back = threading.Thread(target=_pump, args=(remote, local), daemon=True)
        back.start()
        _pump(local, remote)
        back.join(_JOIN_S)
        with self._lock:
            self._open = [each for each in self._open if each not in (local, remote)]
        local.close()
        remote.close()

    def _remote(self) -> Any:
        """A socket to the pod; a client of its own, because the library changes the client while it connects."""
        from kubernetes.client import ApiException, CoreV1Api
        from kubernetes.stream import portforward

        path = f"/api/v1/namespaces/{self._namespace}/pods/{self._pod}/portforward"
        if self._access.before:
            self._access.before("CONNECT", path)
        client = self._access.client()
        try:
            ask = CoreV1Api(client).connect_get_namespaced_pod_portforward
            forward = portforward(ask, self._pod, self._namespace, ports=str(self._port))
        except (ApiException, OSError) as error:
            raise InvocationError(
                f"the API server does not forward to pod/{self._pod}: {_words(error)}",
                hint="the account needs the right to create pods/portforward (role edit has it)",
            ) from error
        finally:
            client.close()
        remote = forward.socket(self._port)
        remote.setblocking(True)
        return remote


def _pump(source: Any, sink: Any) -> None:
    """Carry bytes one way until one side ends."""
    try:
        while data := source.recv(_BLOCK):
            sink.sendall(data)
    except OSError:
        pass
    # The other direction must see the end as well.
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _words(error: BaseException) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split())[:300]
