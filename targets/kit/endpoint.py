"""How a deployment goes, as its endpoint says of itself."""

from typing import Final

from packager.core.deployment import State
from packager.core.errors import InvocationError
from packager.core.http_client import HttpInferenceClient

_ASK_S: Final = 2.0


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
