"""Locks what a container needs of the index, with hashes, for every supported Python and platform: ``make lock-runtime``."""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "packager" / "image" / "locks"


def main() -> None:
    """Write one lock for servers of numbers, and one for servers of texts."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pydantic = [each for each in project["dependencies"] if each.startswith("pydantic")]
    # One image serves anywhere: on a device it is a module of IoT Edge as well.
    client = [each for each in extras["iot"] if each.startswith("azure-iot-device")]
    numbers = [*pydantic, *extras["runtime"], *client]
    for name, wanted in {"runtime": numbers, "runtime-text": [*numbers, *extras["text"]]}.items():
        _lock(LOCKS / f"{name}.txt", wanted)


def _lock(out: Path, requirements: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        source.write_text("\n".join(requirements) + "\n")
        uv = Path(sys.executable).with_name("uv")
        argv = [str(uv), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--python-version", "3.11"]
        argv += ["--no-header", "--no-annotate", "--no-emit-index-url", "--only-binary", ":all:"]
        argv += ["--constraint", str(ROOT / "constraints.txt"), str(source), "--output-file", str(out)]
        subprocess.run(
            argv, check=True, cwd=ROOT
        )  # whose pyproject.toml overrides what the client of IoT Edge asks for


if __name__ == "__main__":
    main()
