import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop

from runtime.engine.batching import Turn
from runtime.engine.queue import Place, Queue
from runtime.errors import Overloaded
from runtime.server.backlog import Backlog


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What holds the runs of a test."""
    event = threading.Event()
    yield event
    event.set()


def learned(queue: Queue, seconds: float) -> Queue:
    """The queue after a run of so long."""
    queue.enter()
    queue.submit(lambda: time.sleep(seconds)).result()
    return queue


def waiting(queue: Queue, count: int, gate: threading.Event) -> list[Place]:
    """So many requests whose runs do not end before the gate opens."""
    places = [queue.enter() for _ in range(count)]
    for _ in places:
        queue.submit(gate.wait)
    return places


def test_a_burst_after_a_quiet_time_is_let_in(gate: threading.Event) -> None:
    queue = learned(Queue(limit=100, threads=1, wait_s=0.05), 0.05)
    waiting(queue, 40, gate)

    assert queue.waiting == 39
    assert queue.expected_wait_s > 1.5


def test_a_queue_that_stands_refuses_what_would_wait_too_long(gate: threading.Event) -> None:
    queue = learned(Queue(limit=100, threads=1, wait_s=0.1), 0.05)
    waiting(queue, 60, gate)
    time.sleep(0.12)

    with pytest.raises(Overloaded) as caught:
        queue.enter()
    assert caught.value.message.startswith("59 requests wait, which takes about 3.")
    assert caught.value.hint == "ask again after the time in Retry-After, or raise DRAY_MAX_WAIT_S"
    assert caught.value.detail == {"limit": 0.1, "retry_after_s": 4}


def test_a_queue_that_stands_takes_what_waits_but_a_little(gate: threading.Event) -> None:
    queue = learned(Queue(limit=100, threads=1, wait_s=0.1), 0.01)
    waiting(queue, 4, gate)
    time.sleep(0.12)

    queue.enter().close()
    gate.set()
    time.sleep(0.1)
    assert (queue.taken, queue.waiting) == (0, 0)


def test_what_cannot_be_answered_in_time_is_refused_in_a_burst_too(gate: threading.Event) -> None:
    queue = learned(Queue(limit=100, threads=2, wait_s=10, timeout_s=0.5), 0.1)
    waiting(queue, 20, gate)

    with pytest.raises(Overloaded) as caught:
        queue.enter()
    assert "requests wait" in caught.value.message


def test_an_idle_queue_takes_a_request_whatever_the_last_one_took() -> None:
    queue = learned(Queue(limit=100, threads=1, timeout_s=0.02), 0.05)
    deadline = time.monotonic() + 5
    while queue.taken and time.monotonic() < deadline:  # the thread says so a moment after the result is there
        time.sleep(0.001)
    queue.enter().close()
    assert queue.taken == 0


def test_a_request_that_is_given_up_leaves_the_queue_before_it_runs(gate: threading.Event) -> None:
    queue, ran = Queue(limit=10, threads=1), list[int]()
    queue.enter()
    queue.submit(gate.wait)

    async def given_up() -> None:
        with queue.enter() as place:
            async with asyncio.timeout(0.05):
                await place.run(lambda _: ran.append(1))

    with pytest.raises(TimeoutError):
        asyncio.run(given_up())
    assert queue.taken == 1
    gate.set()
    time.sleep(0.05)
    assert (ran, queue.taken) == ([], 0)


def test_a_turn_lasts_from_its_first_request_to_its_end() -> None:
    async def turns() -> list[float]:
        turn, lasted = Turn(), []
        for _ in range(2):
            lasted += [turn.lasted_s(10.0), turn.lasted_s(10.5)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return lasted

    assert asyncio.run(turns()) == [0.0, 0.5, 0.0, 0.5]


def test_a_loaded_loop_accepts_all_that_wait() -> None:
    """uvloop alone accepts one connection a turn, however long the turns are."""
    accepted: list[float] = []

    async def serve() -> float:
        loop, listener = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0), backlog=100)
        listener.setblocking(False)

        async def one(connection: socket.socket) -> None:
            await loop.connect_accepted_socket(Counting, connection)

        backlog = Backlog([listener], one)

        class Counting(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted.append(time.perf_counter())
                backlog.take()

        def busy() -> None:
            time.sleep(0.03)
            if len(accepted) < 40:
                loop.call_soon(busy)

        server = await loop.create_server(Counting, sock=listener)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(40)]
        began = time.perf_counter()
        busy()
        while len(accepted) < 40 and time.perf_counter() - began < 5:
            await asyncio.sleep(0.001)
        for each in clients:
            each.close()
        server.close()
        return time.perf_counter() - began

    assert uvloop.run(serve()) < 0.6
    assert len(accepted) == 40
