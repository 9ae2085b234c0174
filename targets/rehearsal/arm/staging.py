"""What runs a group's containers, with the faults that strike them, and how its operation ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from targets.rehearsal.arm.addresses import WHOLE_NETWORK, Addresses
from targets.rehearsal.arm.doomed import ENDS, DoomedRunner
from targets.rehearsal.arm.errors import not_in_a_rehearsal
from targets.rehearsal.arm.tamper import TamperedRunner
from targets.rehearsal.workload import Runner
from targets.rehearsal.world import World

Ending = Literal["", "lro-failed", "stuck", "image-missing"]


_ENDINGS: Final[tuple[Ending, ...]] = ("lro-failed", "stuck", "image-missing")


@dataclass(frozen=True, slots=True)
class Staging:
    """Of one change of one group.

    Attributes:
        runner: The world's own, or one that stands in front of it.
        digests: The images' names by digest, by their names in the body.
        ending: The fault that strikes the operation; empty for none.
    """

    runner: Runner
    digests: Mapping[str, str]
    ending: Ending = ""


def stage(world: World, addresses: Addresses, digests: Mapping[str, str]) -> Staging:
    """For a change that is accepted: each fault that is due strikes it once.

    Raises:
        ArmError: A fault needs what this machine does not have.
    """
    ending: Ending = next((name for name in _ENDINGS if world.faults.due(name)), "")
    return Staging(_runner(world, addresses), digests, ending)


def _runner(world: World, addresses: Addresses) -> Runner:
    for name, end in ENDS.items():
        if world.faults.due(name):
            return DoomedRunner(world.runner, end)
    wrong, unready = world.faults.due("wrong-answer"), world.faults.due("slow")
    if not wrong and not unready:
        return world.runner
    if not WHOLE_NETWORK:
        raise not_in_a_rehearsal("a proxy in front of the container, on a machine with one loopback address,")
    return TamperedRunner(world.runner, addresses, "unready" if unready else "wrong")
