"""A module of dray against the least that a module can be: messages a second, and how long one takes.

Run by ``make bench-edge``.

Both are real processes with the same client, on the same broker, one after the other. The peer is a handler that sends
back what came. It keeps nothing: a message that it had when it is killed is lost.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
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
ECHO: Final = """
import asyncio, os, socket
from azure.iot.device import Message
from azure.iot.device.aio import IoTHubModuleClient

async def main():
    client = IoTHubModuleClient.create_from_edge_environment()
    await client.connect()
    if os.environ.get("AT_ONCE"):
        stage = client._mqtt_pipeline._pipeline
        while stage.next is not None:
            stage = stage.next
        stage.transport._mqtt_client.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def on_message(message):
        answer = Message(message.data, message_id=message.message_id)
        answer.correlation_id = message.message_id
        await client.send_message_to_output(answer, "predictions")

    client.on_message_received = on_message
    await client.patch_twin_reported_properties({"dray": {"state": "ready"}})
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(frozen=True)
class Figures:
    """Of one module.

    Attributes:
        a_second: Messages that were answered, while the hub had many.
        p50_ms, p95_ms: From the hub's sending to its getting the answer, one message at a time.
    """

    name: str
    a_second: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float


def main() -> None:
    """Print the table."""
    sys.path.insert(0, str(ROOT))
    from tests.support.packages import make_package

    options = _options()
    with tempfile.TemporaryDirectory(prefix="dray-edge-") as folder:
        package = Path(folder) / "package"
        make_package(package, _perceptron(options.hidden) if options.hidden else None)
        found: list[Figures] = []
        for round_ in range(options.rounds):
            modules = list(_modules(package))
            # A machine that gets slower is unfair to the others the next time.
            for name, command, settings in reversed(modules) if round_ % 2 else modules:
                found.append(_measure(name, command, settings, options))
    _print(found, options)


def _modules(package: Path) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    dray = [sys.executable, "-P", "-m", "runtime"]
    common = {"DRAY_PACKAGES": str(package), "DRAY_HOST": "127.0.0.1", "DRAY_PORT": "0", "DRAY_THREADS": "1"}
    yield "echo by the SDK alone", [sys.executable, "-c", ECHO], {}
    yield "echo with TCP_NODELAY", [sys.executable, "-c", ECHO], {"AT_ONCE": "1"}
    yield "dray, one run a message", dray, {**common, "DRAY_MAX_BATCH": "1"}
    yield "dray, runs shared", dray, common


def _perceptron(hidden: int) -> Any:
    """A model whose runs take long enough for sharing them to pay: three dense layers."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    lots = np.random.default_rng(0)
    sizes = [4, hidden, hidden, 3]
    weights = [lots.normal(size=pair).astype("f4") / pair[0] for pair in itertools.pairwise(sizes)]
    nodes, last = [], "X"
    for at in range(len(weights)):
        nodes.append(helper.make_node("MatMul", [last, f"W{at}"], [f"h{at}"]))
        last = f"h{at}"
        if at + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [last], [f"r{at}"]))
            last = f"r{at}"
    given = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", 4])
    taken = helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", 3])
    initializers = [numpy_helper.from_array(weight, f"W{at}") for at, weight in enumerate(weights)]
    graph = helper.make_graph(nodes, "perceptron", [given], [taken], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def _measure(name: str, command: list[str], settings: dict[str, str], options: argparse.Namespace) -> Figures:
    from tests.support.edge_hub import edge_hub
    from tests.support.servers import infer_body

    body = json.dumps(infer_body([_ROW] * options.rows)).encode()
    with edge_hub(inflight=options.window) as hub, _running(command, {**hub.environment(), **settings}) as process:
        hub.wait(lambda: hub.reported.get("state") == "ready", 30)
        _send(hub, body, options.window)  # warm
        before_s = _cpu_s(process.pid)
        taken_s = _send(hub, body, options.messages)
        cpu_ms = (_cpu_s(process.pid) - before_s) / options.messages * 1000
        singles = [_send(hub, body, 1) * 1000 for _ in range(options.singles)]
    cut = statistics.quantiles(singles, n=20)
    return Figures(name, options.messages / taken_s, statistics.median(singles), cut[18], cpu_ms)


def _send(hub: "EdgeHub", body: bytes, count: int) -> float:
    """Seconds until all of so many messages are answered."""
    before, began = len(hub.outputs), time.monotonic()
    for number in range(count):
        hub.send(body, mid=f"{before + number}")
    hub.wait_for_outputs(before + count, 300)
    return hub.outputs[-1].came_s - began


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        command,
        env={**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _cpu_s(pid: int) -> float:
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _print(found: list[Figures], options: argparse.Namespace) -> None:
    model = f"perceptron of {options.hidden}" if options.hidden else "logistic regression"
    print(f"{model}, {options.messages} messages of {options.rows} rows,")
    print(f"window of the hub {options.window}, best of {options.rounds}")
    names = [name for name, _, _ in _modules(Path())]
    best = [_best(found, name) for name in names]
    echo = best[0]
    print(f"{'':26} {'msg/s':>8} {'ratio':>6} {'p50 ms':>8} {'ratio':>6} {'p95 ms':>8} {'CPU ms/msg':>11}")
    for each in best:
        rate, wait = each.a_second / echo.a_second, each.p50_ms / echo.p50_ms
        print(
            f"{each.name:26} {each.a_second:8.0f} {rate:6.2f} {each.p50_ms:8.2f} {wait:6.2f} {each.p95_ms:8.2f}"
            f" {each.cpu_ms:11.3f}"
        )


def _best(found: list[Figures], name: str) -> Figures:
    same = [each for each in found if each.name == name]
    return Figures(
        name,
        max(each.a_second for each in same),
        min(each.p50_ms for each in same),
        min(each.p95_ms for each in same),
        min(each.cpu_ms for each in same),
    )


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=0, help="width of a perceptron instead of a logistic regression")
    parser.add_argument("--singles", type=int, default=200)
    parser.add_argument("--window", type=int, default=20, help="messages that the hub sends without acknowledgement")
    parser.add_argument("--rounds", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
