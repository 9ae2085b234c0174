"""Loopback addresses, one for each thing that runs, so that the port of a container is the port outside."""

import hashlib
import os
import socket
import sys
import threading
import weakref
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final

# Of 127.0.0.0/8, which Linux has whole; elsewhere a machine has only 127.0.0.1.
WHOLE_NETWORK: Final = sys.platform == "linux"
_BLOCKS: Final = 256
_HOSTS: Final = 254
# Where so many have a port taken, a program listens on all addresses.
_TRIES: Final = 64
# A UDP port of a block's last address: whoever has it bound has the block, as long as its process lives.
_CLAIM_PORT: Final = 25999


class PortTaken(Exception):
    """A program of this machine listens on one of the ports on every address."""

    def __init__(self, ports: Collection[int]) -> None:
        self.ports = tuple(sorted(ports))
        listed = ", ".join(str(port) for port in self.ports)
        super().__init__(f"a program of this machine listens on port {listed} on every address")


class Addresses:
    """Which are given out, from blocks of 254 that no other stand-in of this machine has at the same time.

    To look for what is free is not enough for that: what has got an address listens on it a while later.
    """

    def __init__(self, *, network: str, seed: str = "", whole_network: bool = WHOLE_NETWORK) -> None:
        """Nothing is claimed yet.

        Args:
            network: The first two numbers of all.
            seed: One stand-in after the other of the same seed gives the same addresses, where they are free.
        """
        self._network = network
        self._seed = seed
        self._whole = whole_network
        self._blocks: list[int] = []
        self._taken: set[str] = set()
        self._next = 0
        self._lock = threading.Lock()
        self._claims: list[int] = []
        self._release = weakref.finalize(self, _close_all, self._claims)

    def take(self, label: str | None, ports: Collection[int]) -> str:
        """An address on which nothing listens on these ports.

        Args:
            label: Gives the same address each time, as long as that is free; without one each address is new.

        Raises:
            PortTaken: A program of this machine listens on one of the ports on every address.
        """
        if not self._whole:
            return "127.0.0.1"
        with self._lock:
            untaken = islice((each for each in self._candidates(label) if each not in self._taken), _TRIES)
            address = next((each for each in untaken if _free(each, ports)), None)
            if address is None:
                raise PortTaken(ports)
            self._taken.add(address)
            return address

    def give_back(self, address: str) -> None:
        """What had it is gone."""
        with self._lock:
            self._taken.discard(address)

    def close(self) -> None:
        """Others may have the blocks."""
        self._release()

    def _candidates(self, label: str | None) -> Iterator[str]:
        if label is None:
            start, self._next = self._next, self._next + 1
        else:
            start = _number(f"{self._seed}/{label}")
        for turn in range(_BLOCKS):
            block = self._blocks[turn] if turn < len(self._blocks) else self._claim()
            for step in range(_HOSTS):
                yield f"{self._network}.{block}.{(start + step) % _HOSTS + 1}"

    def _claim(self) -> int:
        """One block more; one that another stand-in has too, where each is somebody's."""
        first = _number(self._seed)
        unclaimed = [block for step in range(_BLOCKS) if (block := (first + step) % _BLOCKS) not in self._blocks]
        for block in unclaimed:
            claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                claim.bind((f"{self._network}.{block}.255", _CLAIM_PORT))
            except OSError:
                claim.close()
                continue
            self._claims.append(claim.detach())
            self._blocks.append(block)
            return block
        self._blocks.append(unclaimed[0])
        return unclaimed[0]


def _close_all(claims: list[int]) -> None:
    while claims:
        os.close(claims.pop())


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def _free(address: str, ports: Collection[int]) -> bool:
    """Whether each port can be bound there; a port that this user may not bind is left to the start to refuse."""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except PermissionError:
                continue
            except OSError:
                return False
    return True
