"""One request and its answer, and whether that is right."""

import http.client
from contextlib import closing

from benchmarks.serving.bodies import Answer, Request
from benchmarks.serving.cells import Encoding
from benchmarks.serving.peers.base import Peer
from benchmarks.serving.subjects import Subject


class WrongAnswer(Exception):
    """A server does not answer what ONNX Runtime answers; the text says what it does."""


def ask(port: int, request: Request, *, timeout_s: float = 20.0) -> Answer:
    """The answer, over a connection of its own.

    Raises:
        OSError, http.client.HTTPException: There is none.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)) as connection:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())


def check(peer: Peer, port: int, subject: Subject, encoding: Encoding) -> None:
    """Ask once, and compare.

    Raises:
        WrongAnswer: The status is not 200, the probabilities cannot be read, or are not ONNX Runtime's.
        OSError, http.client.HTTPException: There is no answer.
    """
    answer = ask(port, peer.request(subject, encoding))
    if answer.status != 200:
        raise WrongAnswer(f"status {answer.status}: {answer.body[:200].decode(errors='replace')}")
    try:
        difference = subject.wrong(peer.read(answer))
    except (ValueError, KeyError, TypeError) as error:
        raise WrongAnswer(f"{type(error).__name__}: {error} in {answer.body[:200]!r}") from error
    if difference:
        raise WrongAnswer(difference)
