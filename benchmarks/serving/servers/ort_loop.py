"""ONNX Runtime with nothing around it: ``ort_loop.py MODEL ROW.npy THREADS SECONDS`` prints its figures as JSON."""

import json
import sys
import threading
import time

import numpy as np
from onnx_session import open_session


def main() -> None:
    """One session, asked by each thread as fast as it answers."""
    model, row, threads, seconds = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    session = open_session(model)
    feeds = {session.get_inputs()[0].name: row}
    names = [output.name for output in session.get_outputs()]
    answer = session.run(["probabilities"], feeds)[0]
    taken: list[list[float]] = [[] for _ in range(threads)]
    used, began = time.process_time(), time.perf_counter()
    workers = [threading.Thread(target=_ask, args=(session, names, feeds, began + seconds, kept)) for kept in taken]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    duration_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    p50, p99 = np.percentile(np.concatenate(taken), [50, 99]) * 1e3
    figures = {"requests": sum(map(len, taken)), "duration_s": duration_s, "p50_ms": p50, "p99_ms": p99, "cpu_s": cpu_s}
    print(json.dumps({**figures, "answer": answer.ravel().tolist()}))


def _ask(session, names, feeds, until, kept) -> None:
    now = time.perf_counter()
    while now < until:
        session.run(names, feeds)
        then, now = now, time.perf_counter()
        kept.append(now - then)


if __name__ == "__main__":
    main()
