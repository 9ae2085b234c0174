"""What runs a group's containers, with the faults that strike them, and how its operation ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from targets.rehearsal.addresses import WHOLE_NETWORK, Addresses
from targets.rehearsal.arm.errors import not_in_a_rehearsal
from targets.rehearsal.doomed import ENDS, DoomedRunner
from targets.rehearsal.tamper import TamperedRunner
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
        sound: No fault strikes.
    """

    runner: Runner
    digests: Mapping[str, str]
    ending: Ending = ""
    sound: bool = True


def stage(world: World, addresses: Addresses, digests: Mapping[str, str], *, spared: bool) -> Staging:
    """For a change that is accepted: each fault that is due strikes it once.

    Args:
        spared: Nothing strikes: these very containers served here before what failed, and are brought back. A rehearsed
            fault is one of what is new; what was sound stays so.

    Raises:
        ArmError: A fault needs what this machine does not have.
    """
    if spared:
        return Staging(world.runner, digests)
    ending: Ending = next((name for name in _ENDINGS if world.faults.due(name)), "")
    runner = _runner(world, addresses)
    return Staging(runner, digests, ending, sound=runner is world.runner and not ending)


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
