"""Steady requests to an endpoint from threads, to see whether a change loses any."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from packager.core.artifact import ModelPackage
from packager.smoke.answers import request_for


@dataclass
class Traffic:
    """What the requests came to: versions by count, and the failures in words."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


@contextmanager
def steady_requests(url: str, package: ModelPackage, *, pause_s: float = 0.004) -> Iterator[Traffic]:
    """Two clients for the length of the block: one connects anew for each request, one keeps its connection."""
    traffic, ended = Traffic(), threading.Event()
    request = request_for(package.test_data_sets()[0])
    assert request is not None
    body = json.dumps(request.model_dump(exclude_none=True)).encode()
    path = f"{url}/v2/models/{package.manifest.name}/infer"
    threads = [
        threading.Thread(target=_ask, args=(path, body, keep_alive, traffic, ended, pause_s))
        for keep_alive in (True, False)
    ]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _ask(url: str, body: bytes, keep_alive: bool, traffic: Traffic, ended: threading.Event, pause_s: float) -> None:
    limits = httpx.Limits(max_keepalive_connections=1 if keep_alive else 0)
    with httpx.Client(trust_env=False, limits=limits, timeout=10) as client:
        while not ended.is_set():
            try:
                answer = client.post(url, content=body, headers={"Content-Type": "application/json"})
                answer.raise_for_status()
                traffic.answers[answer.json()["model_version"]] += 1
            except httpx.HTTPError as error:
                kind = "kept" if keep_alive else "new"
                traffic.failures.append(f"{kind}: {type(error).__name__} {error}")
            time.sleep(pause_s)
