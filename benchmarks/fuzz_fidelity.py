"""Random scikit-learn pipelines through packaging and ONNX Runtime: is any answer different without a word?

Run by ``make fuzz-fidelity``. Every pipeline is made from its own seed; a run is resumed from its log. Exits with 1 on
a silent difference, and names the seed: ``--only SEED`` makes that one again.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from fidelity import answers_of, differences, expected_of, feeds_of, ship_in_process
from fuzz_pipelines import pipeline
from last_bit import undecided

from packager.core.errors import DrayError


def outcome(seed: int) -> dict[str, Any]:
    """What came of one pipeline, as JSON."""
    import joblib

    warnings.simplefilter("ignore")
    started = time.perf_counter()
    try:
        model, fresh = pipeline(seed)
    except Exception as error:  # noqa: BLE001 - random data and settings need not go together
        return {"seed": seed, "outcome": "not fitted", "reason": f"{type(error).__name__}: {error}"[:120]}
    if not _answers(model, fresh):
        return {"seed": seed, "outcome": "not fitted", "reason": "the source refuses the fresh rows"}
    title = " > ".join([*(type(step).__name__ for _, step in model.steps[:-1]), named(model.steps[-1][1])])
    facts: dict[str, Any] = {"seed": seed, "model": title}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.joblib"
        joblib.dump(model, path)
        samples = None
        try:
            try:
                verified = ship_in_process(path, Path(scratch))
            except DrayError as error:
                if error.code != "E-SAMPLES":
                    raise
                samples = Path(scratch) / "samples.parquet"
                sample_frame(fresh).to_parquet(samples)
                verified = ship_in_process(path, Path(scratch), samples=samples)
        except DrayError as error:
            return {**facts, "outcome": "refused", "code": error.code, "reason": error.message[:200]}
        except Exception as error:  # noqa: BLE001 - what the fuzz is there to find
            return {**facts, "outcome": "unexpected", "reason": f"{type(error).__name__}: {str(error)[:200]}"}
        session = verified.graph.session
    expected = expected_of(model, fresh, [output.name for output in session.get_outputs()])
    if expected is None:
        return {**facts, "outcome": "not fitted", "reason": "the source refuses the fresh rows"}
    try:
        given = answers_of(session, feeds_of(session, fresh))
    except Exception as error:  # noqa: BLE001 - a loud failure, where the source answers
        return {**facts, "outcome": "unexpected", "reason": f"run: {type(error).__name__}: {str(error)[:200]}"}
    rows, labels, worst, over = differences(expected, given)
    verdict = "converted"
    if labels or over or not rows:
        verdict = "last bit" if undecided(model, fresh, expected, given) else "silent difference"
    return {
        **facts, "outcome": verdict,
        "rows": rows, "labels": labels, "values": over, "error": worst, "seconds": time.perf_counter() - started,
    }  # fmt: skip


def _answers(model: Any, fresh: Any) -> bool:
    """Whether the source itself predicts: votes by chances need members that have them, for one."""
    try:
        model.predict(fresh)
    except (ValueError, AttributeError, TypeError):
        return False
    return True


def named(model: Any) -> str:
    """The class of an estimator, and of those in it."""
    inner = next((getattr(model, name) for name in ("estimator", "regressor") if hasattr(model, name)), None)
    members = [inner] if hasattr(inner, "fit") else [member for _, member in getattr(model, "estimators", None) or ()]
    return type(model).__name__ + (f"({', '.join(map(named, members))})" if members else "")


def sample_frame(fresh: Any) -> pd.DataFrame:
    """Some fresh rows as a user would keep them."""
    if isinstance(fresh, pd.DataFrame):
        return fresh.head(50)
    return pd.DataFrame(fresh).rename(columns=str).head(50)


def outcomes(seeds: list[int], processes: int) -> Iterator[dict[str, Any]]:
    """As ``outcome``, in several processes."""
    if processes == 1:
        yield from map(outcome, seeds)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(outcome, seeds, chunksize=4)


def told(done: list[dict[str, Any]]) -> str:
    """The numbers, and every seed that matters."""
    counts = Counter(item["outcome"] for item in done)
    tried = len(done) - counts["not fitted"]
    share = 100 * counts["converted"] / max(1, tried)
    first = (
        f"{len(done)} pipelines, {counts['not fitted']} could not be fitted; of {tried} others {counts['converted']}"
        f" converted ({share:.1f} %), {counts['refused']} refused, {counts['unexpected']} failed loudly,"
        f" {counts['silent difference']} silent differences, {counts['last bit']} with a row that the last bit decides"
    )
    lines = [first]
    reasons = Counter(f"{item['code']} {item['reason'][:90]}" for item in done if item["outcome"] == "refused")
    lines += [f"  refused {count:4d}  {reason}" for reason, count in reasons.most_common(12)]
    lines += [
        f"  {item['outcome']}: {json.dumps(item, default=str)}"
        for item in done
        if item["outcome"] in {"silent difference", "unexpected", "last bit"}
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what the log does not hold yet; 1 on a silent difference."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=500, help="how many pipelines")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--log", type=Path, default=Path(tempfile.gettempdir()) / "dray-fuzz-fidelity.jsonl")
    parser.add_argument("--fresh", action="store_true", help="begin anew, whatever the log holds")
    parser.add_argument("--only", type=int, help="one seed, in this process")
    chosen = parser.parse_args()
    if chosen.only is not None:
        print(json.dumps(outcome(chosen.only), indent=2))
        return 0
    if chosen.fresh:
        chosen.log.unlink(missing_ok=True)
    wanted = range(chosen.seed, chosen.seed + chosen.n)
    known = [json.loads(line) for line in chosen.log.read_text().splitlines()] if chosen.log.exists() else []
    done = {item["seed"]: item for item in known if item["seed"] in wanted}
    missing = [seed for seed in wanted if seed not in done]
    with chosen.log.open("a") as log:
        for item in outcomes(missing, chosen.processes):
            done[item["seed"]] = item
            log.write(json.dumps(item) + "\n")
            log.flush()
            if len(done) % 50 == 0:
                print(f"{len(done)} of {len(wanted)} done", file=sys.stderr)
    print(told([done[seed] for seed in sorted(done)]))
    return int(any(item["outcome"] == "silent difference" for item in done.values()))


if __name__ == "__main__":
    sys.exit(main())
