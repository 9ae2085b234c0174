"""What became of numbered messages: which were answered, how often, and whether rightly."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.edge_hub import EdgeHub
from tests.support.servers import infer_body, running_server


@dataclass(frozen=True)
class Tally:
    """Of all messages that were sent.

    Attributes:
        unanswered: Numbers of messages without an answer.
        duplicates: Answers beyond the first of a message.
        unrecognised: Of these, those whose id is not that of the first answer.
        wrong: Answers that are not what the model answers to that message.
    """

    sent: int
    unanswered: Sequence[int]
    duplicates: int
    unrecognised: int
    wrong: int
    errors: int


def numbered(number: int) -> dict[str, object]:
    """A body whose answer tells the number: the identity model gives it back."""
    return infer_body([[float(number), -float(number)]], name="x")


def send_numbered(hub: EdgeHub, first: int, count: int) -> None:
    for number in range(first, first + count):
        hub.send(numbered(number), mid=f"m{number}", number=str(number))


def tally(hub: EdgeHub, sent: int) -> Tally:
    """What came until now."""
    ids: dict[int, str | None] = {}
    seen: Counter[int] = Counter()
    unrecognised = wrong = errors = 0
    for output in list(hub.outputs):
        number = int(output.properties["number"])
        seen[number] += 1
        unrecognised += ids.setdefault(number, output.message_id) != output.message_id
        if output.name == "errors":
            errors += 1
        elif output.json()["outputs"][0]["data"] != [number, -number]:
            wrong += 1
    unanswered = [number for number in range(sent) if number not in seen]
    return Tally(sent, unanswered, sum(seen.values()) - len(seen), unrecognised, wrong, errors)


def answered(hub: EdgeHub) -> int:
    return len({output.message_id for output in hub.outputs})


def kill_again_and_again(hub: EdgeHub, package: Path, log: Path, *, messages: int, kills: int, seed: int) -> Tally:
    """Numbered messages, in bursts, while the module is killed at random moments of its life: starting, or at work."""
    lots = random.Random(seed)
    sent = 0
    with running_server(package, log=log, **hub.environment()):
        hub.wait_until_taking()  # the hub keeps messages for whoever has asked for them once
        send_numbered(hub, sent, 1)
        sent += 1
        hub.wait_for_outputs(1)
    for life in range(kills):
        share = round(messages * (life + 1) / kills) - sent
        send_numbered(hub, sent, share // 2)
        with running_server(package, log=log, until=(), **hub.environment()) as server:
            if lots.random() < 0.25:
                time.sleep(lots.uniform(0.0, 1.5))  # anywhere in its start
            else:
                before = len(hub.outputs)
                hub.wait(lambda before=before: len(hub.outputs) > before, 30)  # type: ignore[misc]
            send_numbered(hub, sent + share // 2, share - share // 2)
            sent += share
            time.sleep(lots.uniform(0.0, 0.15))
            server.process.kill()
    with running_server(package, log=log, **hub.environment()):
        hub.wait(lambda: answered(hub) >= sent, 60, "messages are missing")
    return tally(hub, sent)
