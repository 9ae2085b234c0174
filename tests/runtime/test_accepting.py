import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runtime.server.accepting import Acceptor, Board, Connections
from runtime.server.sockets import listen_alone


class Listening:
    """A worker's part, without a server behind it."""

    def __init__(self, listener: socket.socket, board: Board, place: int) -> None:
        self.listener = listener.dup()  # another process has a descriptor of its own too
        self.connections = Connections(board, place)
        self.taken: list[socket.socket] = []
        self.acceptor = Acceptor([self.listener], self.connections, self._take)

    async def _take(self, accepted: socket.socket) -> None:
        self.taken.append(accepted)
        self.connections.add(accepted)


@asynccontextmanager
async def listening(board: Board, places: int, connections: int) -> AsyncIterator[list[Listening]]:
    """So many workers at one listener, at which so many clients wait."""
    (listener,) = listen_alone("127.0.0.1", 0)
    clients = [socket.create_connection(listener.getsockname()) for _ in range(connections)]
    workers = [Listening(listener, board, place) for place in range(places)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.acceptor.stop()
        for each in [
            listener,
            *clients,
            *(worker.listener for worker in workers),
            *(taken for worker in workers for taken in worker.taken),
        ]:
            each.close()


def test_two_workers_take_the_same_number() -> None:
    async def take() -> list[int]:
        async with listening(Board(2), 2, 20) as workers:
            for worker in workers:
                worker.acceptor.start()
            await asyncio.sleep(0.3)
            return [len(worker.taken) for worker in workers]

    assert asyncio.run(take()) == [10, 10]


def test_a_worker_that_is_stuck_holds_up_nobody() -> None:
    async def take() -> int:
        board = Board(2)
        async with listening(board, 1, 50) as (worker,):
            board.write(1, 0)  # the other one accepts, and takes nothing
            worker.acceptor.start()
            await asyncio.sleep(0.5)
            return len(worker.taken)

    assert asyncio.run(take()) == 50


def test_one_that_leaves_is_compared_with_no_more() -> None:
    board = Board(2)
    mine, other = Connections(board, 0), Connections(board, 1)
    for each in (mine, other):
        each.told = True
        each.tell()
    mine.begin()
    assert mine.ahead()
    other.leave()
    assert not mine.ahead()


def test_a_connection_that_never_opens_is_not_counted() -> None:
    board = Board(1)
    connections = Connections(board, 0)
    connections.told = True
    connections.begin()
    assert board.least() == 1
    connections.failed()
    assert board.least() == 0


@pytest.mark.parametrize("opened", [1, 3])
def test_connections_are_counted_from_the_moment_they_are_accepted(opened: int) -> None:
    board = Board(1)
    connections = Connections(board, 0)
    connections.told = True
    for number in range(opened):
        connections.begin()
        connections.add(number)
    assert board.least() == opened
    connections.discard(0)
    assert board.least() == opened - 1
