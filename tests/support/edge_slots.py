"""A module that switches between two packages while numbered messages come, and is killed at random moments."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.archive_server import ArchiveServer, digest_of, packed
from tests.support.edge_hub import EdgeHub
from tests.support.servers import infer_body, running_server

ROW = [5.1, 3.5, 1.4, 0.2]


@dataclass(frozen=True)
class Kills:
    """What became of the messages.

    Attributes:
        unanswered: Numbers of messages without an answer.
        strange: Answers that are of neither package, or not what that package answers.
        by_digest: How many each package gave.
    """

    sent: int
    unanswered: Sequence[int]
    strange: int
    by_digest: dict[str, int]


def kill_during_switches(
    hub: EdgeHub, packages: tuple[Path, Path], files: ArchiveServer, log: Path, *, kills: int, seed: int
) -> Kills:
    """Each life is told to serve the other package, and killed between the wish and a while after the switch."""
    lots = random.Random(seed)
    offers = [files.offer(f"kill-{at}.tar", packed(each), digest=digest_of(each)) for at, each in enumerate(packages)]
    sent = 0
    with running_server(packages[0], log=log, **hub.environment()):
        hub.wait_until_taking()  # the hub keeps messages for whoever has asked for them once
    for life in range(kills + 1):
        wanted = {**offers[(life + 1) % 2], "allow_older": True}
        with running_server(packages[0], log=log, **hub.environment()) as server:
            before = len(hub.outputs)
            hub.desire({"package": wanted})
            for number in range(sent, sent + 20):
                hub.send(infer_body([ROW]), mid=f"k{number}", number=str(number))
            sent += 20
            if life < kills:
                _wait_for_more(hub, before)
                time.sleep(lots.uniform(0.0, 0.15))
                server.process.kill()
            else:
                _wait_for_all(hub, sent, wanted["digest"])
    return _tally(hub, sent, [digest_of(each) for each in packages])


def _wait_for_more(hub: EdgeHub, before: int) -> None:
    hub.wait(lambda: len(hub.outputs) > before, 30)


def _wait_for_all(hub: EdgeHub, sent: int, digest: str) -> None:
    hub.wait(lambda: len({output.message_id for output in list(hub.outputs)}) == sent, 60, "unanswered")
    hub.wait(lambda: hub.reported["digest"] == digest, 30, "the last wish is not served")


def _tally(hub: EdgeHub, sent: int, digests: list[str]) -> Kills:
    seen = {int(output.properties["number"]) for output in hub.outputs}
    answers: dict[str, set[str]] = {digest: set() for digest in digests}
    strange = 0
    counts = dict.fromkeys(digests, 0)
    for output in hub.outputs:
        digest = output.properties.get("digest", "")
        if output.name != "predictions" or digest not in answers:
            strange += 1
            continue
        counts[digest] += 1
        answers[digest].add(str(output.json()["outputs"]))
    strange += sum(max(0, len(found) - 1) for found in answers.values())
    return Kills(sent, [number for number in range(sent) if number not in seen], strange, counts)
