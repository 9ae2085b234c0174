"""The report of ``make fpga-report``: what small networks lose and need as circuits, over bit widths.

    make fpga-report                          all models at 4, 6 and 8 bits, with yosys
    make fpga-report REPORT_ARGS=--quick      the smallest at 4 bits, without yosys: half a minute
    make fpga-report REPORT_ARGS="--only digits-mlp --bits 5,8 --synthesize 8"

Rows are kept as they come: a run that was broken off, or asked again, measures what is missing. ``--fresh`` forgets.
"""

import argparse
import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fpga.measure import Row, measured
from benchmarks.fpga.pages import document, draw, page, table
from benchmarks.fpga.record import Record, sources_digest
from benchmarks.fpga.subjects import SUBJECTS, Subject

ROOT = Path(__file__).parent.parent.parent
_QUICK = ("digits-cnn", "trees", "resnet")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: names of subjects, bits, and at which of them yosys runs."""

    subjects: tuple[str, ...]
    bits: tuple[int, ...]
    synthesize: frozenset[int]


def main() -> None:
    """Measure, print, and write."""
    given = _given()
    plan = _plan(given)
    record = Record(given.cache / "rows.jsonl", sources_digest())
    if given.fresh:
        shutil.rmtree(given.cache, ignore_errors=True)
    rows, told = [], {}
    for name in plan.subjects:
        subject = SUBJECTS[name]()
        told[subject.name] = subject.what
        for bits in plan.bits if subject.truth is not None else plan.bits[:1]:
            row = row_of(name, subject, bits, record, given.cache, synthesize=bits in plan.synthesize)
            print(table([row]).splitlines()[-1 if row.refused else 2], flush=True)
            rows.append(row)
    print("\n" + table(rows))
    whole = not (given.quick or given.only or given.bits or given.synthesize)
    write(given.out or (ROOT / "benchmarks" / "results" if whole else given.cache / "report"), rows, told)


def row_of(name: str, subject: Subject, bits: int, record: Record, cache: Path, *, synthesize: bool) -> Row:
    """The row that is known, or a new one."""
    known = record.known(name, bits, synthesized=synthesize)
    if known:
        return known
    row = measured(subject, bits, cache, synthesize=synthesize)
    earlier = record.known(name, bits, synthesized=False)
    if earlier:  # its simulation was built then, and taken from the cache now
        row.seconds.update({step: seconds for step, seconds in earlier.seconds.items() if step == "simulation"})
    record.keep(name, row, synthesized=synthesize)
    return row


def write(out: Path, rows: Sequence[Row], told: dict[str, str]) -> None:
    """The report as Markdown, JSON and, where matplotlib is installed, a plot."""
    out.mkdir(parents=True, exist_ok=True)
    plot: str | None = "fpga.svg"
    try:
        draw(rows, out / "fpga.svg")
    except ModuleNotFoundError:
        plot = None
        print("no plot: matplotlib is not installed")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    (out / "fpga.md").write_text(page(rows, told, machine, plot))
    (out / "fpga.json").write_text(document(rows, told, machine))
    print(f"written: {', '.join(sorted(path.name for path in out.glob('fpga.*')))} in {out.name}/")


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows, no yosys")
    parser.add_argument("--only", help=f"of {', '.join(SUBJECTS)}, with commas")
    parser.add_argument("--bits", default=None, help="with commas (4,6,8)")
    parser.add_argument("--synthesize", default=None, help="bits at which yosys runs, with commas, or none (all)")
    parser.add_argument("--out", type=Path, help="a whole run writes to benchmarks/results, any other to the cache")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "fpga")
    parser.add_argument("--fresh", action="store_true", help="measure all rows again")
    return parser.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    subjects = given.only.split(",") if given.only else _QUICK if given.quick else tuple(SUBJECTS)
    unknown = sorted(set(subjects) - set(SUBJECTS))
    if unknown:
        raise SystemExit(f"no such model: {', '.join(unknown)} (there are {', '.join(SUBJECTS)})")
    bits = given.bits or ("4" if given.quick else "4,6,8")
    synthesize = given.synthesize or ("none" if given.quick else bits)
    return Plan(tuple(subjects), _numbers(bits), frozenset(_numbers(synthesize)))


def _numbers(text: str) -> tuple[int, ...]:
    return () if text == "none" else tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    main()
