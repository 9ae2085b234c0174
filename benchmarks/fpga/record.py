"""Rows that were measured, kept so that a run that was broken off goes on; other sources make them worthless."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fpga.measure import Row
from packager.transform import circuit


def sources_digest() -> str:
    """Of the code that makes circuits."""
    whole = hashlib.sha256()
    for path in sorted(Path(circuit.__file__).parent.glob("*.py")):
        whole.update(path.name.encode() + path.read_bytes())
    return whole.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Record:
    """A file with a row a line."""

    path: Path
    sources: str

    def known(self, subject: str, bits: int, *, synthesized: bool) -> Row | None:
        """The latest such row; one that was synthesised stands for one that need not be."""
        found = None
        for line in self.path.read_text().splitlines() if self.path.is_file() else ():
            entry = json.loads(line)
            same = (entry["sources"], entry["subject"], entry["row"]["bits"]) == (self.sources, subject, bits)
            if same and (entry["synthesized"] or not synthesized):
                found = Row(**entry["row"])
        return found

    def keep(self, subject: str, row: Row, *, synthesized: bool) -> None:
        """Add a row."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        entry = {"sources": self.sources, "subject": subject, "synthesized": synthesized, "row": row.document()}
        with self.path.open("a") as stream:
            stream.write(json.dumps(entry) + "\n")
