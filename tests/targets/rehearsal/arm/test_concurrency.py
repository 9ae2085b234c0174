"""Many requests at once: none is a failure of the stand-in, and nothing is left in the end."""

import random
import threading
import time

from tests.support.arm_server import Arm, group_body, group_path
from tests.support.stand_in_server import wait_until

NAMES = ("one", "two", "three")
CHANGES = ("PUT", "PUT", "GET", "PATCH", "stop", "start", "restart", "DELETE")


def _hammer(arm: Arm, seed: int, until: float, statuses: list[tuple[str, int]]) -> None:
    chosen = random.Random(seed)
    with arm.http() as http:
        while time.monotonic() < until:
            name, change = chosen.choice(NAMES), chosen.choice(CHANGES)
            if change.islower():
                answer = http.post(f"{group_path(name)}/{change}")
            elif change in ("PUT", "PATCH"):
                body = group_body(label=f"label-{name}") if change == "PUT" else {"tags": {"seed": str(seed)}}
                answer = http.request(change, group_path(name), json=body)
            else:
                answer = http.request(change, group_path(name))
            statuses.append((change, answer.status_code))


def test_whatever_comes_at_once_nothing_fails_and_nothing_is_left(arm: Arm) -> None:
    statuses: list[tuple[str, int]] = []
    until = time.monotonic() + 2
    threads = [threading.Thread(target=_hammer, args=(arm, seed, until, statuses)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {status for _, status in statuses} <= {200, 201, 202, 204, 404, 409, 429}
    assert {("PUT", 201), ("PUT", 409), ("DELETE", 200)} <= set(statuses)
    time.sleep(1.1)  # writes and deletes come back
    with arm.http() as http:
        for name in NAMES:
            wait_until(lambda name=name: http.delete(group_path(name)).status_code == 204)
    wait_until(lambda: not arm.runner.runs)
    assert arm.held[-1] == 0
