"""A uv that asks no index: it resolves from a table, makes stub environments, and writes down how it was called."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = """#!{python}
import json, os, sys, time
from pathlib import Path

here = Path(__file__).parent
says = json.loads((here / "uv.json").read_text())
argv = sys.argv[1:]
with (here / "calls.jsonl").open("a") as log:
    log.write(json.dumps({{"argv": argv, "cwd": os.getcwd(), "env": dict(os.environ)}}) + "\\n")


def fail(status, *lines):
    sys.stderr.write("\\n".join(lines) + "\\n")
    sys.exit(status)


def option(name):
    return argv[argv.index(name) + 1] if name in argv else None


def pin(line):
    name, _, version = line.replace(">=", "==").partition("==")
    return name + "==" + version.partition(",")[0]


if argv == ["--version"]:
    print("uv 9.9.9 (fake)")
elif argv[:2] == ["python", "list"]:
    print(json.dumps(says["pythons"]))
elif argv[:2] == ["pip", "compile"]:
    if says["offline"]:
        fail(2, "error: Request failed after 3 retries", "  cause: Failed to fetch: http://index.test/simple/")
    wanted = Path("requirements.in").read_text().splitlines()
    version = option("--python-version") or says["versions"].get(option("--python"), "here")
    if version not in says["wheels_for"].get(wanted[0], ["here"]):
        fail(1, "error: No solution found when resolving dependencies", "  cause: no usable wheels")
    print("\\n".join(pin(line) for line in wanted))
elif argv[0] == "venv":
    folder = Path(argv[-1])
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text('#!/bin/sh\\nexec cat "$(dirname "$0")/../answer.json"\\n')
    python.chmod(0o755)
elif argv[:2] == ["pip", "install"]:
    print("Downloading numpy (15.6MiB)", file=sys.stderr, flush=True)
    time.sleep(says["delay_s"])
    if says["install_error"]:
        fail(2, "error: " + says["install_error"])
    folder = Path(option("--python")).parent.parent
    pins = dict(line.split("==") for line in Path(option("-r")).read_text().splitlines())
    for name, version in pins.items():
        info = folder / "lib" / "python3.11" / "site-packages" / f"{{name}}-{{version}}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n")
    (folder / "answer.json").write_text(json.dumps({{"python": [3, 11, 7], "versions": pins}}))
else:
    fail(2, "error: not a command of the fake: " + " ".join(argv))
"""


@dataclass
class FakeUv:
    """Where it lies, and what it is told.

    Attributes:
        wheels_for: By the first requirement, the Python versions that have wheels; "here" is this one, and the default.
        pythons: What ``uv python list`` prints. ``versions``: "3.12" by path of such a Python.
    """

    folder: Path
    offline: bool = False
    install_error: str = ""
    delay_s: float = 0.0
    wheels_for: dict[str, list[str]] = field(default_factory=dict)
    pythons: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Put it on disk, or tell it anew."""
        script = self.folder / "uv"
        script.write_text(SCRIPT.format(python=sys.executable))
        script.chmod(0o755)
        told = {key: value for key, value in vars(self).items() if key != "folder"}
        (self.folder / "uv.json").write_text(json.dumps(told))

    def calls(self, *starts: str) -> list[dict[str, Any]]:
        """Its calls that begin with these arguments."""
        path = self.folder / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in calls if call["argv"][: len(starts)] == list(starts)]


def stub_environment(folder: Path, *, python: tuple[int, int, int] = (3, 11, 7), **versions: str) -> Path:
    """A folder that answers as an environment would: a shell script in Python's place."""
    (folder / "bin").mkdir(parents=True)
    script = folder / "bin" / "python"
    script.write_text('#!/bin/sh\nexec cat "$(dirname "$0")/../answer.json"\n')
    script.chmod(0o755)
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    (folder / "answer.json").write_text(json.dumps({"python": list(python), "versions": named}))
    return folder
