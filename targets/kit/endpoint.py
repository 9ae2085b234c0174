"""What an endpoint says of itself: how a deployment goes, which release is ready, and for how long none was."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from packager.core.deployment import State
from packager.core.errors import InvocationError
from packager.core.http_client import HttpInferenceClient, ServerState

_ASK_S: Final = 2.0
_POLL_S: Final = 0.2


def endpoint_state(url: str, *, token: str | None = None, certificate: str | None = None) -> State:
    """``running``, ``unhealthy``, or ``failed`` where it says that it never will be ready.

    Args:
        token: Key of the clients, where this machine has it.
        certificate: That it must show; None for one that this machine's authorities vouch for.
    """
    with HttpInferenceClient(
        url, token=token, certificate=certificate, connect_timeout_s=_ASK_S, timeout_s=_ASK_S
    ) as client:
        try:
            answer = client.state()
        except InvocationError:  # our key is not among its keys; that it asks for one shows that it serves
            return "running"
    if answer is None:
        return "unhealthy"
    return "running" if answer.state == "ready" else "failed" if answer.state == "failed" else "unhealthy"


@dataclass(slots=True)
class Endpoint:
    """One URL, asked again and again: which release is ready there, and for how long none was.

    Attributes:
        certificate: That it must show; None for one that this machine's authorities vouch for.
        last, first: When the release before last answered, and the new one first did, on the monotonic clock.
    """

    url: str
    digest: str
    token: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    last: float | None = None
    first: float | None = None

    def ask(self) -> ServerState | None:
        """What it says of itself now."""
        with HttpInferenceClient(
            self.url, token=self.token, certificate=self.certificate, connect_timeout_s=_ASK_S, timeout_s=_ASK_S
        ) as client:
            try:
                state = client.state()
            except InvocationError:  # another release's keys
                return None
        now = time.monotonic()
        if state is not None and state.state == "ready":
            if self.is_new(state):
                self.first = self.first or now
            elif self.first is None:
                self.last = now
        return state

    def is_new(self, state: ServerState) -> bool:
        """Whether it is the release that is waited for; a server that does not say which is taken for it."""
        said = [model.get("digest") for model in state.models if model.get("digest")]
        return not said or self.digest in said

    @property
    def gap_s(self) -> float | None:
        """How long nothing served; None where that was not seen."""
        return None if self.last is None or self.first is None else self.first - self.last


@contextmanager
def watching(endpoint: Endpoint | None) -> Iterator[None]:
    """Ask an endpoint all the time while something else is done, so that it knows for how long nothing served."""
    if endpoint is None:
        yield
        return
    endpoint.ask()  # at once: a change that is quick would be over before the thread is heard of
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            endpoint.ask()
            over.wait(_POLL_S)

    thread = threading.Thread(target=watch, name="gap", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2 * _ASK_S)
