"""A package switched by twin while messages come: bytes sent, and how long nobody was answered.

Run by ``make bench-edge-slots``.

A module on a real broker is told, again and again, to serve the other of two packages, which a server of files on
loopback has, while messages come at a steady rate. Printed for each switch: bytes that went to the device, seconds from
the wish to the report, and the longest pause between two answers from the wish to a second behind the switch, beside
the longest of as long a time without a switch. With ``--kills N`` the module is killed N times around switches instead.

Exits with 1 where a message was lost, answered twice, or wrongly.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.support.edge_hub import EdgeHub

ROOT: Final = Path(__file__).parents[1]
_ROW: Final = [5.1, 3.5, 1.4, 0.2]


@dataclass(frozen=True)
class Switch:
    """One of them.

    Attributes:
        pause_ms: The longest between two answers around it.
        quiet_ms: The longest of as long a time before it.
    """

    sent_bytes: int
    seconds: float
    gap_ms: float
    pause_ms: float
    quiet_ms: float


def main() -> int:
    """Print the table; 1 where anything was lost."""
    sys.path.insert(0, str(ROOT))
    from tests.support.archive_server import archive_server
    from tests.support.edge_hub import edge_hub
    from tests.support.packages import make_package

    options = _options()
    with tempfile.TemporaryDirectory(prefix="dray-slots-") as folder, edge_hub() as hub, archive_server() as files:
        packages = Path(folder) / "1", Path(folder) / "2"
        for at, package in enumerate(packages):
            make_package(package, _model(options.hidden, at), version=str(at + 1))
        log = Path(folder) / "log"
        if options.kills:
            return _killed(hub, packages, files, log, options)
        return _switched(hub, packages, files, log, options)


def _killed(hub: "EdgeHub", packages: tuple[Path, Path], files: Any, log: Path, options: argparse.Namespace) -> int:
    from tests.support.edge_slots import kill_during_switches

    found = kill_during_switches(hub, packages, files, log, kills=options.kills, seed=options.seed)
    answers = len(hub.outputs)
    print(f"{found.sent} messages, {options.kills} kills: {len(found.unanswered)} unanswered, {found.strange} strange")
    print(f"  {answers} answers, by digest {found.by_digest}")
    return int(bool(found.unanswered or found.strange))


def _switched(hub: "EdgeHub", packages: tuple[Path, Path], files: Any, log: Path, options: argparse.Namespace) -> int:
    from tests.support.archive_server import digest_of, packed
    from tests.support.servers import running_server

    offers = [
        {**files.offer(f"{at}.tar", packed(each, "w:gz"), digest=digest_of(each)), "allow_older": True}
        for at, each in enumerate(packages)
    ]
    with running_server(packages[0], log=log, **hub.environment()):
        hub.wait_until_taking()
        with _steady(hub, options.rate) as sent:
            found = [_switch(hub, files, offers[(at + 1) % 2]) for at in range(options.switches)]
        hub.wait_for_outputs(sent[0])
    _print(found, offers, options)
    ids = [output.correlation_id for output in hub.outputs]
    whole = len(ids) == len(set(ids)) == sent[0] and {output.name for output in hub.outputs} == {"predictions"}
    print(f"\n{sent[0]} messages, {len(ids)} answers" + ("" if whole else ": LOST OR REPEATED"))
    return int(not whole)


def _switch(hub: "EdgeHub", files: Any, wanted: dict[str, Any]) -> Switch:
    before_bytes, began = files.sent_bytes, time.monotonic()
    hub.desire({"package": wanted})
    hub.wait(lambda: _active(hub, wanted["digest"]), 120, "it is not active")
    took_s = time.monotonic() - began
    _let_pass(hub, 1.0)
    ended = time.monotonic()
    _let_pass(hub, ended - began)
    times = [output.came_s for output in list(hub.outputs)]
    told = hub.reported["package"]
    around, quiet = _longest_ms(times, began, ended), _longest_ms(times, ended, time.monotonic())
    return Switch(files.sent_bytes - before_bytes, took_s, told["gap_ms"], around, quiet)


def _active(hub: "EdgeHub", digest: str) -> bool:
    found = hub.reported.get("package", {})
    return found.get("state") == "active" and found.get("digest") == digest and "gap_ms" in found


def _let_pass(hub: "EdgeHub", seconds: float) -> None:
    until = time.monotonic() + seconds
    hub.wait(lambda: bool(hub.outputs) and hub.outputs[-1].came_s >= until, seconds + 30)


def _longest_ms(times: list[float], begins: float, ends: float) -> float:
    within = [each for each in times if begins <= each <= ends]
    return max((after - before for before, after in itertools.pairwise([begins, *within])), default=0.0) * 1000


@contextmanager
def _steady(hub: "EdgeHub", rate: float) -> Iterator[list[int]]:
    """Messages at this rate; how many were sent."""
    from tests.support.servers import infer_body

    over, sent = threading.Event(), [0]

    def run() -> None:
        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due += 1 / rate
            hub.send(infer_body([_ROW]), mid=f"m{sent[0]}")
            sent[0] += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


def _model(hidden: int, seed: int) -> Any:
    """A classifier of four numbers; with ``hidden``, of so many in between."""
    from tests.support.packages import logistic_model

    if not hidden:
        return logistic_model(seed=seed)
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    lots = np.random.default_rng(seed)
    sizes = [(4, hidden), (hidden, hidden), (hidden, 3)]
    weights = [(lots.normal(size=pair) / pair[0]).astype("f4") for pair in sizes]
    nodes = [
        helper.make_node("MatMul", ["X", "W0"], ["h0"]),
        helper.make_node("MatMul", ["h0", "W1"], ["h1"]),
        helper.make_node("MatMul", ["h1", "W2"], ["Y"]),
    ]
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", 4])
    taken = helper.make_tensor_value_info("Y", TensorProto.FLOAT, ["batch", 3])
    held = [numpy_helper.from_array(weight, f"W{at}") for at, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "dense", [given], [taken], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _print(found: list[Switch], offers: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(
        f"{options.rate:.0f} messages/s; archives of {' and '.join(str(each['size_bytes']) for each in offers)} bytes\n"
    )
    print("| switch | bytes sent | wish to report | loop held | longest pause | without a switch |")
    print("|---|---|---|---|---|---|")
    for at, each in enumerate(found, start=1):
        cells = f"{each.seconds:.2f} s | {each.gap_ms:.2f} ms | {each.pause_ms:.1f} ms | {each.quiet_ms:.1f} ms"
        print(f"| {at} | {each.sent_bytes} | {cells} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=6)
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second")
    parser.add_argument("--hidden", type=int, default=0, help="of a larger model: 4 * HIDDEN**2 bytes")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
