"""Numbered messages into a rehearsed edge device while its module is updated, once well and once not: is any lost?

    python benchmarks/edge_switch.py -n 10000

It ships a model, and sends while it ships another that passes its tests, and one that a fault makes wrong, which is
taken back. It needs no account and no container engine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from packager.core.edge import EdgeMessage, MessageLine
from targets.rehearsal.iot_edge import IotEdgeRehearsal

NAME = "switch"
_QUIET_S = 5.0
_REPEATED_S = 1.0
_TOGETHER = 20


@dataclass(frozen=True)
class Report:
    """What came of it.

    Attributes:
        answered: Different messages that were answered.
        repeated: Answers beyond the first of a message, known by their ids.
        errors: Answers on the output ``errors``.
        versions: Answers by the version of the model that gave them.
        statuses: Exit statuses of the update, and of the one that fails.
    """

    sent: int
    answered: int
    repeated: int
    errors: int
    versions: Mapping[str, int]
    statuses: tuple[int, int]
    seconds: float


def run(
    models: Sequence[Path],
    body: bytes,
    count: int,
    *,
    folder: Path,
    seconds: float = 30.0,
    dray: Callable[..., int] | None = None,
) -> Report:
    """Ship the first model, and send so many messages while the second and third take its place, or do not.

    Args:
        models: Three, or packages of them, that a request of ``body`` fits.
        folder: Where packages go; the state folder is the environment's.
        seconds: Over which they are spread, while both updates happen.
        dray: Runs the command with its arguments; another process where left out.
    """
    began = time.monotonic()
    command = dray or partial(_dray, cwd=folder)
    first, second, third = (
        partial(_ship, command, model, str(number), folder) for number, model in enumerate(models, start=1)
    )
    if status := first():
        raise SystemExit(f"the first release could not be deployed: {status}")
    stage = IotEdgeRehearsal().find()
    assert stage is not None
    assert stage.messages is not None
    sender = _Sender(stage.messages, body, count, seconds)
    sender.start()
    updated = second()
    failed = third("--fault", "wrong-answer")
    sender.finish()
    answers = _answers(stage.messages, sender.sent)
    command("delete", NAME, "-t", "iot-edge", "--rehearse", "-y")
    named = Counter(answer.system.get("correlationId", "") for answer in answers)
    versions = Counter(answer.properties.get("version", "") for answer in answers if answer.output == "predictions")
    return Report(
        sent=sender.sent,
        answered=len(named),
        repeated=sum(named.values()) - len(named),
        errors=sum(answer.output == "errors" for answer in answers),
        versions=dict(sorted(versions.items())),
        statuses=(updated, failed),
        seconds=round(time.monotonic() - began, 1),
    )


def _answers(line: MessageLine, count: int) -> list[EdgeMessage]:
    """What came: until each of so many was answered and nothing more comes, or nothing came for long."""
    found: list[EdgeMessage] = []
    named: set[str] = set()
    for answer in line.watch(NAME, after=0, timeout_s=_QUIET_S):
        found.append(answer)
        named.add(answer.system.get("correlationId", ""))
        if len(named) == count:
            break
    return [*found, *line.watch(NAME, after=found[-1].number if found else 0, timeout_s=_REPEATED_S)]


class _Sender(threading.Thread):
    """Sends, evenly, until told that nothing is updated any more; then what is left at once."""

    def __init__(self, line: MessageLine, body: bytes, count: int, seconds: float) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self._line, self._body, self._count, self._seconds = line, body, count, seconds
        self._hurry = threading.Event()

    def run(self) -> None:
        while self.sent < self._count:
            step = min(_TOGETHER, self._count - self.sent)
            numbers = range(self.sent, self.sent + step)
            self._line.send(NAME, [EdgeMessage(self._body, system={"messageId": f"n{each}"}) for each in numbers])
            self.sent += step
            self._hurry.wait(self._seconds * step / self._count)

    def finish(self) -> None:
        self._hurry.set()
        self.join(120)


def _ship(dray: Callable[..., int], model: Path, version: str, folder: Path, *more: str) -> int:
    options = ("-n", NAME, "-t", "iot-edge", "--rehearse", "-y", "--timeout", "60", *more)
    if model.is_dir():
        return dray("deploy", str(model), *options)
    return dray("ship", str(model), *options, "--version", version, "--out", str(folder / f"package-{version}"))


def _dray(*arguments: str, cwd: Path) -> int:
    argv = [sys.executable, "-c", "from packager.cli import main; main()", *arguments]
    done = subprocess.run(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stderr[-1500:])
    return done.returncode


def _models(folder: Path) -> list[Path]:
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    features, labels = load_digits(return_X_y=True)
    paths = [folder / f"digits-{number}.joblib" for number in (1, 2, 3)]
    for number, path in enumerate(paths, start=1):
        joblib.dump(LogisticRegression(max_iter=500, C=number).fit(features / 16, labels), path)
    return paths


def main() -> None:
    """Print the report as JSON; status 1 where a message was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10_000, help="messages")
    count = parser.parse_args().n
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as name:
        body = json.dumps({"instances": [[0.5] * 64]}).encode()
        report = run(_models(Path(name)), body, count, folder=Path(name))
    print(json.dumps(asdict(report), indent=2))
    sys.exit(report.answered != report.sent or report.errors > 0)


if __name__ == "__main__":
    main()
