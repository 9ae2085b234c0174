"""What an endpoint says of itself, over real connections."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from targets.kit.endpoint import Endpoint, endpoint_state, watching
from targets.rehearsal.workload import Workload
from tests.support.fake_runner import FakeRunner, Image
from tests.support.servers import free_port
from tests.support.stand_in_server import wait_until

Serving = Callable[..., str]


@pytest.fixture
def runner() -> Iterator[FakeRunner]:
    runner = FakeRunner()
    yield runner
    for name in list(runner.runs):
        runner.remove(name)


@pytest.fixture
def serving(runner: FakeRunner) -> Serving:
    """Makes an endpoint that says this, and its URL."""

    def serve(status: int, document: Any, port: int | None = None) -> str:
        for name in list(runner.runs):
            runner.remove(name)
        port = port or free_port()
        runner.images["said"] = Image(answering=lambda path: (status, json.dumps(document).encode()))
        runner.start(Workload(f"of {port}", "said", "127.0.0.1", (port,)))
        return f"http://127.0.0.1:{port}"

    return serve


def ready(digest: str) -> dict[str, Any]:
    return {"state": "ready", "models": [{"digest": digest}]}


@pytest.mark.parametrize(
    ("status", "document", "state"),
    [
        (200, ready("a"), "running"),
        (503, {"state": "starting"}, "unhealthy"),
        (503, {"state": "failed", "message": "x"}, "failed"),
        (401, {"error": "who are you?"}, "running"),
    ],
)
def test_a_deployment_is_as_its_endpoint_says(serving: Serving, status: int, document: Any, state: str) -> None:
    assert endpoint_state(serving(status, document)) == state


def test_a_deployment_that_nobody_reaches_is_unhealthy() -> None:
    assert endpoint_state(f"http://127.0.0.1:{free_port()}") == "unhealthy"


def test_the_gap_is_from_the_old_releases_last_answer_to_the_new_ones_first(serving: Serving) -> None:
    url = serving(200, ready("old"))
    endpoint = Endpoint(url, "new", None)

    with watching(endpoint):
        wait_until(lambda: endpoint.last is not None)
        assert endpoint.gap_s is None
        serving(200, ready("new"), port=int(url.rpartition(":")[2]))
        wait_until(lambda: endpoint.first is not None)

    assert endpoint.gap_s is not None
    assert 0 <= endpoint.gap_s < 15
