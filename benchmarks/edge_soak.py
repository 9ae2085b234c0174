"""Is anything lost that the hub was told it may forget? Run by ``make edge-soak``.

* kills: the module gets SIGKILL at random moments, starting or at work, while numbered messages come.
* cut: the broker is away for half a minute while messages are being answered, and comes back.
* stop: the container is stopped, and killed, in the midst of messages, and started again.
* odd: poison, 256 KiB, and more than that, among good ones.

Every message has to be answered at least once, every second answer has to be known by its id, and the counts have to
tell. Exits with 1 where one is not.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from tests.support.edge_hub import EdgeHub

ROOT: Final = Path(__file__).parents[1]


def main() -> int:
    """Run what was asked for; 1 where anything was lost."""
    sys.path.insert(0, str(ROOT))
    from onnx import TensorProto

    from tests.support.edge_hub import edge_hub
    from tests.support.packages import identity_model, make_package

    options = _options()
    whole = True
    for name in options.only or list(_SCENES):
        with tempfile.TemporaryDirectory(prefix="dray-soak-") as folder, edge_hub() as hub:
            package = Path(folder) / "package"
            make_package(package, identity_model(TensorProto.FLOAT), inputs={"x": np.ones((5, 2), "f4")}, name="echo")
            began = time.monotonic()
            whole &= _SCENES[name](hub, package, Path(folder) / "log", options)
            print(f"  in {time.monotonic() - began:.0f} s", flush=True)
    return 0 if whole else 1


def kills(hub: "EdgeHub", package: Path, log: Path, options: Any) -> bool:
    """SIGKILL at random moments."""
    from tests.support.edge_loss import kill_again_and_again

    kill_again_and_again(hub, package, log, messages=options.messages, kills=options.kills, seed=options.seed)
    return _told("kills", hub, options.messages, f"{options.kills} kills")


def cut(hub: "EdgeHub", package: Path, log: Path, options: Any) -> bool:
    """The broker is away."""
    from tests.support.edge_loss import answered, send_numbered
    from tests.support.servers import running_server

    half = options.messages // 2
    with running_server(package, log=log, **hub.environment()):
        hub.wait_until_taking()
        send_numbered(hub, 0, half)
        hub.wait(lambda: answered(hub) > half // 10, 60)
        hub.stop_broker()
        time.sleep(options.cut_s)
        began = time.monotonic()
        hub.start_broker()
        send_numbered(hub, half, options.messages - half)
        before = len(hub.outputs)
        hub.wait(lambda: len(hub.outputs) > before, 120)
        again_s = time.monotonic() - began
        hub.wait(lambda: answered(hub) >= options.messages, 300, "messages are missing")
        counts = hub.call("health")[1]["counts"]
    return _told(
        "cut", hub, options.messages, f"{options.cut_s:g} s away, answers again after {again_s:.1f} s, {counts}"
    )


def stop(hub: "EdgeHub", package: Path, log: Path, options: Any) -> bool:
    """The container is stopped, then killed."""
    from tests.support.edge_loss import answered, send_numbered
    from tests.support.servers import running_server

    third, sent = options.messages // 3, 0
    for number in (signal.SIGTERM, signal.SIGKILL):
        with running_server(package, log=log, **hub.environment()) as server:
            server.wait_for_log('"taking": true', count=1 + sent // third)  # the twin may still tell of the one before
            before = len(hub.outputs)
            send_numbered(hub, sent, third)
            sent += third
            hub.wait(lambda before=before: len(hub.outputs) > before + third // 10, 60)  # type: ignore[misc]
            server.signal(number)
            server.process.wait(timeout=40)
    with running_server(package, log=log, **hub.environment()):
        send_numbered(hub, sent, options.messages - sent)
        hub.wait(lambda: answered(hub) >= options.messages, 300, "messages are missing")
        counts = hub.call("health")[1]["counts"]
    return _told("stop", hub, options.messages, f"SIGTERM and SIGKILL, {counts}")


def odd(hub: "EdgeHub", package: Path, log: Path, options: Any) -> bool:
    """Poison and giants among good messages."""
    from tests.support.edge_loss import numbered, tally
    from tests.support.servers import running_server

    strange = {number: _strange(number) for number in range(0, options.messages, 50)}
    with running_server(package, log=log, **hub.environment()):
        hub.wait_until_taking()
        for number in range(options.messages):
            body = strange[number] if number in strange else json.dumps(numbered(number)).encode()
            hub.send(body, mid=f"m{number}", number=str(number))
        hub.wait_for_outputs(options.messages, 300)
        counts = hub.call("health")[1]["counts"]
    found = tally(hub, options.messages)
    codes = Counter(output.properties["error_code"] for output in hub.outputs if output.name == "errors")
    expected = {"E-INPUT": sum(len(each) < 1000 for each in strange.values())}
    expected["E-MESSAGE-TOO-LARGE"] = sum(len(each) > 256 << 10 for each in strange.values())
    told = _told("odd", hub, options.messages, f"errors {dict(codes)}, {counts}")
    return told and codes == expected and counts["errors"] == found.errors == sum(expected.values())


def _strange(number: int) -> bytes:
    """Not JSON, or a good request of exactly 256 KiB, or one of a byte more."""
    from tests.support.edge_loss import numbered

    kind = number // 50 % 3
    if kind == 0:
        return b"\xff\xfepoison"
    good = json.dumps(numbered(number)).encode()
    return good[:-1] + b" " * ((256 << 10) - len(good) + kind - 1) + b"}"


def _told(name: str, hub: "EdgeHub", sent: int, note: str) -> bool:
    from tests.support.edge_loss import tally

    found = tally(hub, sent)
    marks = Counter(output.properties.get("duplicate", "no") for output in hub.outputs)
    print(f"{name}: {found.sent} sent, {len(found.unanswered)} lost, {found.duplicates} answered again,")
    print(f"  {found.unrecognised} of these not known by their id, {found.wrong} wrong; duplicate={dict(marks)}")
    print(f"  {note}")
    return not (found.unanswered or found.unrecognised or found.wrong)


_SCENES: Final = {"kills": kills, "cut": cut, "stop": stop, "odd": odd}


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cut-s", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(_SCENES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
