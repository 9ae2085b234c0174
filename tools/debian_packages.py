"""Debian packages of any architecture, by the machine's own apt: which versions, and their files. Needs no rights.

The archives are those of the machine's apt configuration whose origin is Debian; apt checks their signatures. Another
architecture's lists are kept in a state folder of their own, so that nothing of the machine changes.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LISTS_AGE_S = 24 * 3600
TIMEOUT_S = 600


@dataclass(frozen=True)
class DebianArchive:
    """The packages of one architecture.

    Attributes:
        folder: Lists and packages are kept here between runs.
    """

    architecture: str
    folder: Path

    def refresh(self) -> None:
        """Bring the lists of packages up to date, at most once a day."""
        stamp = self.folder / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_AGE_S:
            return
        for part in ("state/lists/partial", "cache/archives/partial", "packages"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "sources.list").write_text(_sources(self.architecture))
        self._apt("update")
        stamp.touch()

    def versions(self, names: Sequence[str]) -> list[str]:
        """File names of the newest versions, sorted; they hold name, version and architecture."""
        return sorted(line.split()[1] for line in self._uris(names))

    def download(self, names: Sequence[str]) -> list[Path]:
        """The package files, sorted by name; what is there already is not fetched again."""
        wanted = {line.split()[1] for line in self._uris(names)}
        packages = self.folder / "packages"
        if wanted - {path.name for path in packages.iterdir()}:
            self._apt("download", *names, cwd=packages)
        return [packages / name for name in sorted(wanted)]

    def _uris(self, names: Sequence[str]) -> list[str]:
        # Somewhere else than where the packages lie: of those that are there apt prints nothing.
        lines = self._apt("download", "--print-uris", *names, cwd=self.folder / "cache").splitlines()
        return [line for line in lines if line.startswith("'")]

    def _apt(self, *command: str, cwd: Path | None = None) -> str:
        options = {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Dir::State": str(self.folder / "state"),
            "Dir::State::Status": str(self.folder / "status"),
            "Dir::Cache": str(self.folder / "cache"),
            "Dir::Etc::SourceList": str(self.folder / "sources.list"),
            "Dir::Etc::SourceParts": "-",
        }
        flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return _run(["apt-get", "--quiet=2", *flags, *command], cwd=cwd)


def files_of(package: Path) -> bytes:
    """The tar archive of a package's files."""
    return subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True, timeout=TIMEOUT_S
    ).stdout


def fields_of(package: Path) -> str:
    """The control fields of a package, as scanners read them under ``/var/lib/dpkg/status.d``."""
    return _run(["dpkg-deb", "--field", str(package)])


def _sources(architecture: str) -> str:
    """One-line sources of Debian's own archives, as the machine has them."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]).splitlines()
    if not found:
        raise SystemExit("apt knows no archive of Debian here: make base needs a Debian machine, and apt-get update")
    return "".join(f"deb [arch={architecture}] {line}\n" for line in dict.fromkeys(found))


def _run(argv: list[str], cwd: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        argv, check=False, cwd=cwd, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:1] + argv[-3:])} failed:\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
