"""Loopback addresses, one a container group, so that the port of a container is the port outside, as on Azure."""

import hashlib
import socket
import sys
import threading
from collections.abc import Collection, Iterator
from itertools import islice

from targets.rehearsal.arm.errors import port_in_use_here

# Of 127.0.0.0/8, which Linux has whole; elsewhere a machine has only 127.0.0.1.
NETWORK = "127.77"
WHOLE_NETWORK = sys.platform == "linux"
_HOSTS = 256 * 254
# Where so many have a port taken, a program listens on all addresses.
_TRIES = 256


class Addresses:
    """Which are given out.

    Args:
        seed: Of the stand-in: two that run side by side, for two people or two tests, look in different places first.
    """

    def __init__(self, *, seed: str = "", whole_network: bool = WHOLE_NETWORK, network: str = NETWORK) -> None:
        self._seed = seed
        self._whole = whole_network
        self._network = network
        self._taken: set[str] = set()
        self._next = _number(seed) if seed else 0
        self._lock = threading.Lock()

    def take(self, label: str | None, ports: Collection[int]) -> str:
        """An address on which nothing listens on these ports.

        Args:
            label: Gives the same address each time, as long as that is free; without one each address is new.

        Raises:
            ArmError: A program of this machine listens on one of the ports on every address.
        """
        if not self._whole:
            return "127.0.0.1"
        with self._lock:
            untaken = islice((each for each in self._candidates(label) if each not in self._taken), _TRIES)
            address = next((each for each in untaken if _free(each, ports)), None)
            if address is None:
                raise port_in_use_here(ports)
            self._taken.add(address)
            return address

    def give_back(self, address: str) -> None:
        """Its group is gone."""
        with self._lock:
            self._taken.discard(address)

    def _candidates(self, label: str | None) -> Iterator[str]:
        if label is None:
            start, self._next = self._next, self._next + 1
        else:
            start = _number(f"{self._seed}/{label}")
        for step in range(_HOSTS):
            third, fourth = divmod((start + step) % _HOSTS, 254)
            yield f"{self._network}.{third}.{fourth + 1}"


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
